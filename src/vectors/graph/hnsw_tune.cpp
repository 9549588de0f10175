// What recall each breadth reaches, measured on rows that the graph does not hold (or leaves out).
#include <algorithm>
#include <cmath>

#include "vectors/graph/hnsw_writer.h"

namespace hearth::vectors {
namespace {

// The mean of n numbers less its standard error: other queries would rarely find it lower.
float surely(double sum, double squares, std::size_t n) {
  const double count = static_cast<double>(n), mean = sum / count;
  const double variance = std::max(squares / count - mean * mean, 0.0);
  return static_cast<float>(mean - std::sqrt(variance / count));
}

}  // namespace

std::vector<Slot> Hnsw::sample_slots(std::size_t n) const {
  const std::vector<Slot> live = live_slots(*writer_->arrays);
  std::vector<Slot> sample;
  n = std::min(n, live.size());
  for (std::size_t i = 0; i < n; ++i) sample.push_back(live[i * live.size() / n]);
  return sample;
}

std::vector<float> Hnsw::vectors_of(std::span<const Slot> slots) const {
  std::vector<float> vectors(slots.size() * spec_.dim);
  for (std::size_t i = 0; i < slots.size(); ++i)
    writer_->arrays->copy_row(&vectors[i * spec_.dim], slots[i]);
  return vectors;
}

// queries: [n, dim]; leave_out: the slot of each query, if the index holds it.
void Hnsw::tune(std::span<const float> queries, std::span<const Slot> leave_out) const {
  const Arrays& arrays = *writer_->arrays;
  const std::size_t n = queries.size() / spec_.dim, own = leave_out.empty() ? 0 : 1;
  const std::vector<Slot> live = live_slots(arrays);
  if (n == 0 || live.size() < 2 * BreadthTable::counts.back()) return;
  Borrowed scratch(*this);
  std::vector<std::vector<Row>> truth(n);
  std::vector<Hit> hits;
  const auto rows_of = [&](std::size_t i, std::size_t k) {
    std::vector<Row> rows;
    for (const Hit& hit : hits)
      if (own == 0 || hit.row != arrays.owner(leave_out[i])) rows.push_back(hit.row);
    rows.resize(std::min(rows.size(), k));
    return rows;
  };
  const std::size_t most = BreadthTable::counts.back();
  for (std::size_t i = 0; i < n; ++i) {
    const float* query = prepared(*scratch, arrays, &queries[i * spec_.dim]);
    std::vector<Slot> candidates = live;
    scan(arrays, *scratch, 4 * most, candidates);
    SearchPlan whole;
    whole.k = most + own;
    rank(arrays, *scratch, query, whole, candidates, hits);
    truth[i] = rows_of(i, most);
  }
  for (std::size_t c = 0; c < BreadthTable::counts.size(); ++c) {
    const std::size_t k = BreadthTable::counts[c];
    std::array<float, BreadthTable::breadths.size()> recall{};
    for (std::size_t b = 0; b < recall.size(); ++b) {
      double sum = 0, squares = 0;  // of the share that was found
      SearchPlan plan;
      plan.k = k + own;
      plan.breadth = std::max(BreadthTable::breadths[b], k) + own;
      plan.keep = ranked_for(plan.k);
      for (std::size_t i = 0; i < n; ++i) {
        const float* query = prepared(*scratch, arrays, &queries[i * spec_.dim]);
        if (own != 0) plan.skip = leave_out[i];
        answer(arrays, *scratch, query, plan, hits);
        const std::vector<Row> rows = rows_of(i, k);
        const auto end = truth[i].begin() + static_cast<std::ptrdiff_t>(k);
        const auto found = std::count_if(rows.begin(), rows.end(), [&](Row row) {
          return std::find(truth[i].begin(), end, row) != end;
        });
        const double share = static_cast<double>(found) / static_cast<double>(k);
        sum += share;
        squares += share * share;
      }
      recall[b] = surely(sum, squares, n);
      if (recall[b] >= 0.9999f) {  // wider ones are no worse
        std::fill(recall.begin() + static_cast<std::ptrdiff_t>(b), recall.end(), recall[b]);
        break;
      }
    }
    tuning_.set(c, recall);
  }
  tuning_.set_rows(live.size());
  writer_->dropped = 0;
}

}  // namespace hearth::vectors
