// How a learned index answers: candidates by codes, ranked by their bytes.
#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "vectors/learned/learned_view.h"
#include "vectors/top_hits.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t scanned_rows = 1000;  // so few are looked at one by one
// Rows that are looked up by codes, for each that is ranked: buckets of short parts are coarse.
std::size_t candidates_a_place(const CodeTables& tables) { return tables.segments() == 2 ? 6 : 32; }
constexpr std::size_t tuning_queries = 100, tuned_k = 10;
constexpr std::size_t hybrid_candidates = 10;  // for each answer, at least
constexpr int most_radius = 6;
constexpr float enough_recall = 0.985f;  // a wider radius is tried while tuning stays below

}  // namespace

CodeQuery Learned::code_query(const View& view, const std::vector<float>& query) const {
  const CodeModel& model = *view.model;
  const Encoder& encoder = view.query_encoder != nullptr ? *view.query_encoder : model.encoder;
  const Table embedding = encoder.encode(model.standardised(query));
  CodeQuery result{model.code(embedding.row(0)), {}};
  for (std::size_t b = 0; b < CodeModel::bits; ++b)
    result.margins[b] = std::abs(embedding.row(0)[b] - model.thresholds[b]);
  return result;
}

std::vector<Slot> Learned::live_slots(const View& view, const RowFilter* filter) const {
  std::vector<Slot> slots;
  const auto offer = [&](Slot slot) {
    if (slot < view.used) slots.push_back(slot);
  };
  if (filter == nullptr) {
    for (std::size_t i = 0; i < view.used; ++i) {
      const Slot slot = static_cast<Slot>(i);
      offer(view.resolve(slot));
    }
  } else {
    for (std::size_t i = 0; i < filter->words.size(); ++i)
      for (std::uint64_t word = filter->words[i]; word != 0; word &= word - 1)
        offer(view.map->find(
            static_cast<Row>(i * 64 + static_cast<unsigned>(std::countr_zero(word)))));
  }
  std::sort(slots.begin(), slots.end());
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
  return slots;
}

// About the `keep` slots whose codes are nearest to the query's, sorted by slot.
void Learned::collect(const View& view, const CodeQuery& query, std::size_t keep, int radius,
                      const RowFilter* filter, std::vector<Slot>& slots) const {
  const MarginTables costs(query);
  thread_local std::vector<std::uint64_t> seen;  // one bit a slot; all zero between searches
  if (seen.size() < view.used / 64 + 1) seen.resize(view.used / 64 + 1);
  std::vector<std::pair<float, Slot>> found;
  std::vector<Slot> touched;
  const auto offer = [&](Slot slot) -> std::size_t {
    std::uint64_t& word = seen[slot / 64];
    const std::uint64_t bit = 1ull << (slot % 64);
    if ((word & bit) != 0) return 0;
    word |= bit;
    touched.push_back(slot);
    if (filter != nullptr && !filter->allows(view.owner(slot))) return 0;
    found.emplace_back(costs.cost(view.code(slot)), slot);
    return 1;
  };
  view.tables->probe(query, {keep * candidates_a_place(*view.tables), radius},
                     [&](std::span<const std::uint32_t> bucket) {
                       std::size_t taken = 0;
                       for (const Slot slot : bucket) taken += offer(slot);
                       return taken;
                     });
  for (std::size_t i = view.tables->rows(); i < view.used; ++i) offer(static_cast<Slot>(i));
  for (const Slot slot : touched) seen[slot / 64] = 0;
  if (found.size() > keep) {
    std::nth_element(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(keep), found.end());
    found.resize(keep);
  }
  slots.clear();
  for (const auto& [cost, slot] : found)
    if (const Slot now = view.resolve(slot); now < view.used) slots.push_back(now);
  std::sort(slots.begin(), slots.end());
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
}

std::vector<Hit> Learned::rank(const View& view, const std::vector<float>& query,
                               std::vector<Slot>& slots, const SearchOptions& options) const {
  const RowQuery row_query(codec_, query);
  TopHits top(options.k, options.max_distance);
  std::vector<float> distances(chunk_rows);
  std::vector<std::uint32_t> ids;
  for (std::size_t i = 0; i < slots.size();) {
    const std::size_t chunk = slots[i] / chunk_rows;
    ids.clear();
    for (; i < slots.size() && slots[i] / chunk_rows == chunk; ++i)
      ids.push_back(slots[i] % static_cast<Slot>(chunk_rows));
    const Chunk& rows = *view.chunks[chunk];
    row_query.distances(distances.data(), rows.rows, ids.data(), ids.size());
    for (std::size_t j = 0; j < ids.size(); ++j) top.offer(rows.owners[ids[j]], distances[j]);
  }
  return std::move(top).take();
}

std::size_t Learned::breadth_for(std::size_t k, float target) const {
  const float scale = std::max(1.0f, static_cast<float>(k) / static_cast<float>(tuned_k));
  for (std::size_t b = 0; b < breadths.size(); ++b) {
    const float reached = recall_[b];
    if (reached == 0) break;
    if (reached < target) continue;
    const auto here = static_cast<float>(breadths[b]);
    if (b == 0) return static_cast<std::size_t>(here * scale);
    const float before = recall_[b - 1], from = static_cast<float>(breadths[b - 1]);
    const float share = (target - before) / std::max(reached - before, 1e-6f);
    return static_cast<std::size_t>((from + (here - from) * share) * scale);
  }
  return SIZE_MAX;  // every row
}

std::vector<Hit> Learned::answer(const View& view, std::span<const float> query,
                                 const SearchOptions& options) const {
  const std::vector<float> vector = prepared(query);
  std::vector<Slot> slots;
  const std::size_t least = options.k * (spec_.hybrid ? hybrid_candidates : 1);
  const std::size_t breadth = std::max(
      least, options.breadth > 0 ? options.breadth : breadth_for(options.k, options.target_recall));
  const std::size_t rows = options.filter == nullptr
                               ? live_.load()
                               : std::min(options.filter->allowed_rows, live_.load());
  // A filter leaves fewer rows near the query, so codes must reach farther for as many of them.
  const bool all = view.model == nullptr || rows <= scanned_rows || breadth > rows / 3 ||
                   (options.filter != nullptr && rows * 4 < live_);
  if (!all) collect(view, code_query(view, vector), breadth, radius_, options.filter, slots);
  if (all || slots.size() < options.k) slots = live_slots(view, options.filter);
  return rank(view, vector, slots, options);
}

Result<std::vector<Hit>> Learned::search(std::span<const float> query,
                                         const SearchOptions& options) const {
  TRY(check(query, 1));
  const Readers::Guard guard = readers_.enter();
  return answer(*view(), query, options);
}

Result<std::vector<std::vector<Hit>>> Learned::search_batch(std::span<const float> queries,
                                                            const SearchOptions& options) const {
  const std::size_t n = queries.size() / spec_.dim;
  TRY(check(queries, n));
  std::vector<std::vector<Hit>> answers;
  for (std::size_t i = 0; i < n; ++i)
    answers.push_back(TRY(search(queries.subspan(i * spec_.dim, spec_.dim), options)));
  return answers;
}

Result<std::vector<Row>> Learned::candidates(std::span<const float> query, std::size_t n,
                                             const RowFilter* filter) const {
  TRY(check(query, 1));
  const Readers::Guard guard = readers_.enter();
  const auto now = view();
  std::vector<Slot> slots;
  if (now->model != nullptr && live_ > scanned_rows)
    collect(*now, code_query(*now, prepared(query)), n, radius_, filter, slots);
  else
    slots = live_slots(*now, filter);
  std::vector<Row> rows;
  for (const Slot slot : slots) rows.push_back(now->owner(slot));
  return rows;
}

// The recall of each breadth, on rows that are left out of their own answers.
void Learned::tune(const View& view) const {
  const std::vector<Slot> live = live_slots(view, nullptr);
  const std::size_t n = std::min(tuning_queries, live.size());
  std::vector<std::vector<float>> queries(n, std::vector<float>(spec_.dim));
  std::vector<std::vector<Hit>> truth(n);
  SearchOptions options;
  options.k = tuned_k + 1;
  for (std::size_t i = 0; i < n; ++i) {
    codec_.decode(queries[i], view.row(live[i * live.size() / n], codec_.row_bytes()));
    std::vector<Slot> all = live;
    truth[i] = rank(view, queries[i], all, options);
  }
  for (int radius = spec_.radius; radius <= std::max(most_radius, spec_.radius); ++radius) {
    radius_ = radius;
    float reached = 0;
    for (std::size_t b = 0; b < breadths.size(); ++b) {
      std::size_t found = 0, wanted = 0;
      for (std::size_t i = 0; i < n && breadths[b] < live.size(); ++i) {
        std::vector<Slot> slots;
        collect(view, code_query(view, queries[i]), breadths[b], radius, nullptr, slots);
        const Row own = view.owner(live[i * live.size() / n]);
        const std::vector<Hit> hits = rank(view, queries[i], slots, options);
        for (const Hit& want : truth[i]) {
          if (want.row == own) continue;
          ++wanted;
          found += std::any_of(hits.begin(), hits.end(),
                               [&](const Hit& hit) { return hit.row == want.row; });
        }
      }
      recall_[b] = wanted == 0 ? 0 : static_cast<float>(found) / static_cast<float>(wanted);
      reached = std::max(reached, recall_[b].load());
    }
    if (reached >= enough_recall) break;
  }
}

Result<std::vector<float>> Learned::vector(Row row) const {
  const Readers::Guard guard = readers_.enter();
  const auto now = view();
  const Slot slot = now->map->find(row);
  if (slot >= now->used) return Error(ErrorKind::not_found, fmt::format("row {}", row));
  std::vector<float> result(spec_.dim);
  codec_.decode(result, now->row(slot, codec_.row_bytes()));
  return result;
}

IndexInfo Learned::info() const {
  const auto now = view();
  IndexInfo info;
  info.kind = spec_.hybrid ? "hybrid" : "learned";
  info.rows = live_;
  info.removed = dead_;
  const std::size_t row_bytes = now->used * (codec_.row_bytes() + sizeof(Row));
  (now->file == nullptr ? info.memory_bytes : info.mapped_bytes) += row_bytes;
  info.memory_bytes += now->map->memory_bytes();
  if (now->model == nullptr) {
    info.explanation = fmt::format("not trained yet, every row is looked at; {} rows are needed",
                                   2 * least_training_rows);
    return info;
  }
  info.memory_bytes +=
      now->used * sizeof(std::uint32_t) + now->model->bytes() + now->tables->memory_bytes();
  const std::size_t breadth = breadth_for(tuned_k, 0.95f);
  info.explanation = fmt::format(
      "32 learned bits lead to candidates through {} tables, parts differing in up to {} bits; {}",
      now->tables->segments(), radius_.load(),
      breadth == SIZE_MAX ? std::string("for recall@10 of 0.95 every row is looked at")
                          : fmt::format("for recall@10 of 0.95 it ranks {} rows", breadth));
  info.has_lessons = now->query_encoder != nullptr;
  if (info.has_lessons) info.explanation += "; turned by feedback";
  // Not while it is trained.
  if (const std::unique_lock lock(writing_, std::try_to_lock); lock.owns_lock()) {
    const Drift drift = drift_of(*now);
    if (drift.mmd != 0 || drift.kl != 0)
      info.explanation += fmt::format(
          "; rows since the training drifted by {:.3f} (discrepancy) and {:.3f} "
          "(divergence), of {} that start another",
          drift.mmd, drift.kl, spec_.drift_threshold);
  }
  return info;
}

}  // namespace hearth::vectors
