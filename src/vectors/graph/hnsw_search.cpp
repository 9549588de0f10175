// How a Hnsw answers: a walk over the graph, or a look at every row where that is cheaper.
#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "vectors/flat/row_codec.h"
#include "vectors/graph/hnsw_writer.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t scanned_rows = 800;  // so few are not worth a walk
// A step of a walk costs about as much as looking at so many rows one after another.
constexpr double step_cost = 30;
constexpr std::size_t most_filtered_breadth = 6000;

}  // namespace

Status Hnsw::check_query(std::span<const float> query, std::size_t n) const {
  if (query.size() != n * spec_.dim)
    return Error(ErrorKind::invalid,
                 fmt::format("a query of {} numbers: needs {}", query.size(), n * spec_.dim));
  if (!all_finite(query)) return Error(ErrorKind::invalid, "a query that is not finite");
  return Done{};
}

// Where the row of a slot found on the way is now; no_slot: it was removed.  A place that only
// arrays published since know is not ours to read.
Slot Hnsw::resolve(const Arrays& arrays, Slot slot) const {
  const Slot now = map_.find(arrays.owner(slot));
  return now == no_slot || now < arrays.capacity ? now : slot;
}

const float* Hnsw::prepared(Scratch& scratch, const Arrays& arrays, const float* query) const {
  scratch.query.resize(arrays.codec.stride);
  if (spec_.metric == Metric::cosine) {
    scratch.normalised.assign(query, query + spec_.dim);
    normalise(scratch.normalised);
    query = scratch.normalised.data();
  }
  if (arrays.codec.dim != 0) arrays.codec.encode_query(scratch.query.data(), query);
  return query;
}

std::vector<Slot> Hnsw::live_slots(const Arrays& arrays) const {
  std::vector<Slot> slots;
  bool moved = false;
  const std::size_t used = std::min(used_.load(std::memory_order_acquire), arrays.capacity);
  slots.reserve(used);
  for (std::size_t i = 0; i < used; ++i) {
    const Slot slot = static_cast<Slot>(i), now = resolve(arrays, slot);
    if (now == no_slot) continue;
    moved |= now != slot;
    slots.push_back(now);
  }
  if (!moved) return slots;
  std::sort(slots.begin(), slots.end());
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
  return slots;
}

std::vector<Slot> Hnsw::allowed_slots(const RowFilter& filter) const {
  std::vector<Slot> slots;
  slots.reserve(filter.allowed_rows);
  for (std::size_t i = 0; i < filter.words.size(); ++i)
    for (std::uint64_t word = filter.words[i]; word != 0; word &= word - 1) {
      const auto row = static_cast<Row>(i * 64 + static_cast<unsigned>(std::countr_zero(word)));
      if (const Slot slot = map_.find(row); slot != no_slot) slots.push_back(slot);
    }
  return slots;
}

// Of many candidates those that are nearest by their codes.
void Hnsw::scan(const Arrays& arrays, Scratch& scratch, std::size_t keep,
                std::vector<Slot>& candidates) const {
  std::erase_if(candidates, [&](Slot slot) { return slot >= arrays.capacity; });
  if (candidates.size() <= keep + keep / 2) return;
  std::vector<std::int32_t>& distances = scratch.code_distances;
  distances.resize(candidates.size());
  arrays.code_distances(distances.data(), scratch.query.data(), candidates.data(),
                        candidates.size());
  std::vector<std::uint64_t> keys(candidates.size());
  for (std::size_t i = 0; i < keys.size(); ++i)
    keys[i] =
        std::uint64_t{static_cast<std::uint32_t>(distances[i]) ^ 0x80000000u} << 32 | candidates[i];
  std::nth_element(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(keep), keys.end());
  candidates.resize(keep);
  for (std::size_t i = 0; i < keep; ++i) candidates[i] = static_cast<Slot>(keys[i]);
}

void Hnsw::walk(const Arrays& arrays, Scratch& scratch, const SearchPlan& plan,
                std::vector<Slot>& candidates) const {
  const Entry top = entry();
  if (top.slot >= arrays.capacity) return;
  const std::uint8_t* query = scratch.query.data();
  Found at{code_distance(arrays, query, top.slot), top.slot};
  for (int level = top.level; level > 0; --level) at = walk_down(arrays, scratch, query, at, level);
  search_level(arrays, scratch, query, {&at.slot, 1}, 0, plan.breadth, plan.skip);
  for (std::size_t i = 0; i < std::min(scratch.pool.size(), plan.keep); ++i)
    arrays.ask_for_owner(scratch.pool[i].slot);
  bool moved = false;
  for (std::size_t i = 0; i < scratch.pool.size() && candidates.size() < plan.keep; ++i) {
    const Slot slot = scratch.pool[i].slot, now = resolve(arrays, slot);
    if (now == no_slot) continue;
    if (plan.filter != nullptr && !plan.filter->allows(arrays.owner(slot))) continue;
    moved |= now != slot;
    candidates.push_back(now);
  }
  if (!moved) return;
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
}

void Hnsw::rank(const Arrays& arrays, Scratch& scratch, const float* query, const SearchPlan& plan,
                std::vector<Slot>& candidates, std::vector<Hit>& hits) const {
  scratch.row_distances.resize(candidates.size());
  arrays.distances.rows(scratch.row_distances.data(), query, arrays.rows, arrays.row_bytes(),
                        candidates.data(), candidates.size(), spec_.dim);
  hits.clear();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const float distance = distance_of(spec_.metric, scratch.row_distances[i]);
    if (!plan.max_distance || distance <= *plan.max_distance)
      hits.push_back({arrays.owner(candidates[i]), distance});
  }
  const std::size_t n = std::min(plan.k, hits.size());
  std::partial_sort(hits.begin(), hits.begin() + static_cast<std::ptrdiff_t>(n), hits.end(),
                    [](const Hit& a, const Hit& b) {
                      return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
                    });
  hits.resize(n);
}

// A walk that meets too few rows that may be answered is no answer: then all of them are looked at.
void Hnsw::answer(const Arrays& arrays, Scratch& scratch, const float* query,
                  const SearchPlan& plan, std::vector<Hit>& hits) const {
  std::vector<Slot> candidates;
  if (plan.breadth > 0) walk(arrays, scratch, plan, candidates);
  const std::size_t least = plan.filter == nullptr ? plan.k : std::min(plan.keep, plan.k * 3 / 2);
  if (candidates.size() < least) {
    candidates = plan.filter == nullptr ? live_slots(arrays) : allowed_slots(*plan.filter);
    scan(arrays, scratch, std::max(plan.keep, 4 * plan.k + 64), candidates);
  }
  rank(arrays, scratch, query, plan, candidates, hits);
}

Result<std::vector<Hit>> Hnsw::search(std::span<const float> query,
                                      const SearchOptions& options) const {
  auto all = TRY(search_batch(query, options));
  if (all.empty()) return Error(ErrorKind::invalid, "an empty query");
  return std::move(all[0]);
}

Hnsw::SearchPlan Hnsw::plan_for(const SearchOptions& options) const {
  SearchPlan plan;
  plan.k = options.k;
  plan.filter = options.filter;
  plan.max_distance = options.max_distance;
  const std::size_t live = live_;
  plan.k = std::min(plan.k, live);
  plan.keep = ranked_for(plan.k);
  if (live <= scanned_rows) return plan;
  std::size_t breadth =
      options.breadth > 0 ? options.breadth : tuning_.breadth_for(plan.k, options.target_recall);
  breadth = std::max(breadth, plan.k);
  if (options.filter != nullptr) {
    const auto rows = static_cast<double>(live);
    const double share = std::min(1.0, static_cast<double>(options.filter->allowed_rows) / rows);
    const double wider = static_cast<double>(breadth) / std::max(share, 1e-9);
    if (share * rows <= step_cost * wider || wider > most_filtered_breadth) return plan;
    breadth = static_cast<std::size_t>(wider * 1.1);
  }
  if (static_cast<double>(breadth) * step_cost < static_cast<double>(live)) plan.breadth = breadth;
  return plan;
}

Result<std::vector<std::vector<Hit>>> Hnsw::search_batch(std::span<const float> queries,
                                                         const SearchOptions& options) const {
  const std::size_t n = queries.size() / spec_.dim;
  TRY(check_query(queries, n));
  std::vector<std::vector<Hit>> answers(n);
  if (options.k == 0 || live_ == 0) return answers;
  Borrowed scratch(*this);
  for (std::size_t i = 0; i < n; ++i) {
    const Readers::Guard guard = readers_.enter();
    const Arrays& arrays = *arrays_.load(std::memory_order_seq_cst);
    const float* query = prepared(*scratch, arrays, &queries[i * spec_.dim]);
    answer(arrays, *scratch, query, plan_for(options), answers[i]);
  }
  return answers;
}

Result<std::vector<float>> Hnsw::vector(Row row) const {
  const Readers::Guard guard = readers_.enter();
  const Arrays& arrays = *arrays_.load(std::memory_order_seq_cst);
  const Slot slot = map_.find(row);
  if (slot >= arrays.capacity) return Error(ErrorKind::not_found, fmt::format("row {}", row));
  std::vector<float> vector(spec_.dim);
  arrays.copy_row(vector.data(), slot);
  return vector;
}

IndexInfo Hnsw::info() const {
  const Readers::Guard guard = readers_.enter();
  const Arrays& arrays = *arrays_.load(std::memory_order_seq_cst);
  IndexInfo info;
  info.kind = "hnsw";
  info.rows = live_;
  info.removed = dead_;
  const std::size_t used = std::min(used_.load(), arrays.capacity);
  const std::size_t bytes = arrays.memory_bytes(used, arrays.upper_capacity) + used * sizeof(Slot);
  (arrays.file == nullptr ? info.memory_bytes : info.mapped_bytes) = bytes;
  info.explanation = fmt::format(
      "a graph of {} links for each row over 7-bit codes, answers ranked by whole vectors{}; {}",
      2 * spec_.m, arrays.row_type == kernels::RowType::f16 ? ", which halves hold exactly" : "",
      info.rows <= scanned_rows ? std::string("so few rows are looked at one by one")
      : tuning_.rows() == 0
          ? std::string("not measured yet")
          : fmt::format("recall@10 of 0.95 needs ef {}, of 0.99 ef {}, measured at {} rows",
                        tuning_.breadth_for(10, 0.95f), tuning_.breadth_for(10, 0.99f),
                        tuning_.rows()));
  return info;
}

}  // namespace hearth::vectors
