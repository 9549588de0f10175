// Local collections: documents, and which rows a filter lets through.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "base/utf8.h"
#include "vectors/store/local_state.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t max_page = 10'000;
constexpr std::size_t kept_selections = 16;

}  // namespace

Document to_document(const DocumentView& view, const Parts& parts) {
  Document document;
  document.id = view.id;
  if (parts.vector) document.vector.assign(view.vector.begin(), view.vector.end());
  if (parts.text) document.text = view.text;
  if (parts.metadata) document.metadata = parse_json(view.metadata).value_or(Json::object());
  return document;
}

float distance_between(Metric metric, std::span<const float> a, std::span<const float> b) {
  constexpr std::size_t lanes = 16;  // sums side by side, which the compiler turns into registers
  float sums[lanes] = {}, a_squares[lanes] = {}, b_squares[lanes] = {};
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::size_t lane = i % lanes;
    if (metric == Metric::l2) {
      const float gap = a[i] - b[i];
      sums[lane] += gap * gap;
      continue;
    }
    sums[lane] += a[i] * b[i];
    if (metric != Metric::cosine) continue;
    a_squares[lane] += a[i] * a[i];
    b_squares[lane] += b[i] * b[i];
  }
  const auto total = [](const float* lane) {
    float sum = 0;
    for (std::size_t i = 0; i < lanes; ++i) sum += lane[i];
    return sum;
  };
  const float sum = total(sums);
  if (metric == Metric::l2) return sum;
  if (metric == Metric::inner_product) return -sum;
  const float length = std::sqrt(total(a_squares)) * std::sqrt(total(b_squares));
  return length > 0 ? 1 - sum / length : 1;
}

Result<DocumentView> LocalCollection::view_of(Row row) const {
  for (const MemoryRows* memory : {static_cast<const MemoryRows*>(active_.get()), frozen_.get()}) {
    if (!memory || row < memory->first || row - memory->first >= memory->documents.size()) continue;
    const auto& document = memory->documents[row - memory->first];
    if (!document) break;
    return DocumentView{document->id, document->text, document->metadata, document->vector};
  }
  if (const Segment* segment = segment_of(row))
    if (const auto place = segment->find(row); place >= 0)
      return segment->document(static_cast<std::size_t>(place));
  return Error(ErrorKind::not_found, fmt::format("row {} is gone", row));
}

// The last segment that begins at or before the row.  One without rows, which holds deaths only,
// may stand anywhere: it counts as the one before it.
const Segment* LocalCollection::segment_of(Row row) const {
  const auto begins_after = [&](Row wanted, const std::shared_ptr<const Segment>& segment) {
    const std::shared_ptr<const Segment>* one = &segment;
    while (one != segments_.data() && (*one)->rows().empty()) --one;
    return !(*one)->rows().empty() && wanted < (*one)->rows().front();
  };
  auto at = std::upper_bound(segments_.begin(), segments_.end(), row, begins_after);
  while (at != segments_.begin())
    if (const Segment* segment = (--at)->get(); !segment->rows().empty()) return segment;
  return nullptr;
}

std::string_view LocalCollection::id_of(Row row) const {
  for (const MemoryRows* memory : {static_cast<const MemoryRows*>(active_.get()), frozen_.get()})
    if (memory && row >= memory->first && row - memory->first < memory->documents.size()) {
      const auto& document = memory->documents[row - memory->first];
      return document ? document->id : std::string_view();
    }
  const Segment* segment = segment_of(row);
  const auto place = segment ? segment->find(row) : -1;
  if (place < 0) return {};
  return segment->id(static_cast<std::size_t>(place)).value_or(std::string_view());
}

Row LocalCollection::find_id(std::string_view id) const {
  return ids_.find(id, [this](Row row) { return id_of(row); });
}

Status LocalCollection::each_live(const std::function<bool(Row, const DocumentView&)>& use,
                                  Row from) const {
  Status status = Done{};
  live_.each(
      [&](Row row) {
        const auto view = view_of(row);
        if (view.ok()) return use(row, *view);
        if (!damage_.empty()) return true;  // told when it was opened
        status = view.error();
        return false;
      },
      from);
  return status;
}

Result<std::vector<Document>> LocalCollection::get(std::span<const std::string> ids,
                                                   const Parts& parts) const {
  const std::shared_lock lock(state_mutex_);
  std::vector<Document> documents;
  for (const std::string& id : ids) {
    const Row row = find_id(id);
    if (row == no_row) continue;
    if (const Segment* segment = segment_of(row)) segment->note_use();
    documents.push_back(to_document(TRY(view_of(row)), parts));
  }
  return documents;
}

Result<std::size_t> LocalCollection::count(const Filter* filter) const {
  if (filter) return TRY(select_rows(*filter))->count();
  const std::shared_lock lock(state_mutex_);
  return live_rows_.load();
}

Result<Page> LocalCollection::scroll(std::string_view from, std::size_t limit, const Filter* filter,
                                     const Parts& parts) const {
  Row first = 0;
  if (!from.empty()) {
    const auto [end, error] = std::from_chars(from.data(), from.data() + from.size(), first);
    if (error != std::errc() || end != from.data() + from.size())
      return Error(ErrorKind::invalid,
                   fmt::format("'{}': no place to go on from", printable(from)));
  }
  if (limit < 1 || limit > max_page)
    return Error(ErrorKind::invalid, fmt::format("limit = {}: needs 1 to {}", limit, max_page));
  std::shared_ptr<const Bits> allowed;
  if (filter) allowed = TRY(select_rows(*filter));
  const std::shared_lock lock(state_mutex_);
  Page page;
  Status status = Done{};
  const Bits& rows = allowed ? *allowed : live_;
  rows.each(
      [&](Row row) {
        if (!live_.has(row)) return true;
        if (page.documents.size() == limit) {
          page.next = fmt::format("{}", row);
          return false;
        }
        const auto view = view_of(row);
        if (view.ok())
          page.documents.push_back(to_document(*view, parts));
        else
          status = view.error();
        return status.ok();
      },
      first);
  TRY(std::move(status));
  return page;
}

// ---- Filters ----

// Fields are indexed when first asked for: all rows but the newest without stopping writers.
Status LocalCollection::prepare_fields(std::vector<std::string> names) const {
  {
    const std::shared_lock lock(state_mutex_);
    std::erase_if(names, [&](const std::string& name) { return fields_.contains(name); });
    if (names.empty()) return Done{};
  }
  FieldIndexes built;
  for (const std::string& name : names) built.emplace(name, std::make_unique<FieldIndex>());
  Row reached = 0;
  const auto add = [&](Row row, const DocumentView& view) {
    const auto metadata = parse_json(view.metadata);
    for (auto& [name, field] : built)
      field->add(row, metadata.ok() ? find_field(*metadata, name) : nullptr);
    reached = row + 1;
    return true;
  };
  for (;;) {
    constexpr Row slice = 4096;  // the lock is given back so often
    const std::shared_lock lock(state_mutex_);
    const Row end = std::min<Row>(next_row_, reached + slice);
    if (reached >= next_row_) break;
    TRY(each_live([&](Row row, const DocumentView& view) { return row < end && add(row, view); },
                  reached));
    reached = std::max(reached, end);
  }
  const std::unique_lock lock(state_mutex_);
  TRY(each_live(add, reached));
  for (auto& [name, field] : built) fields_.try_emplace(name, std::move(field));
  return Done{};
}

Result<std::shared_ptr<const Bits>> LocalCollection::select_rows(const Filter& filter) const {
  const std::string key = describe(filter);
  std::vector<std::string> names;
  collect_fields(filter, names);
  std::shared_lock lock(state_mutex_, std::defer_lock);
  for (;;) {
    TRY(prepare_fields(names));
    lock.lock();
    // Compaction may drop them at any time.
    if (std::all_of(names.begin(), names.end(),
                    [&](const std::string& name) { return fields_.contains(name); }))
      break;
    lock.unlock();
  }
  auto known = selections_.with([&](std::deque<Selected>& kept) -> std::shared_ptr<const Bits> {
    for (const Selected& one : kept)
      if (one.filter == key && one.changes == changes_) return one.rows;
    return nullptr;
  });
  if (known) return known;
  Bits rows = vectors::select(filter, fields_, live_, next_row_);
  rows.keep(live_);
  auto made = std::make_shared<const Bits>(std::move(rows));
  selections_.with([&](std::deque<Selected>& kept) {
    kept.push_front({key, changes_, made});
    if (kept.size() > kept_selections) kept.pop_back();
  });
  return made;
}

}  // namespace hearth::vectors
