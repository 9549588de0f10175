#include "vectors/ivf/batch.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace hearth::vectors {
namespace {

using kernels::byte_panel_rows;
using kernels::pair_rows;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr std::size_t some_queries = 16;

constexpr auto by_distance = [](const Candidate& a, const Candidate& b) {
  return a.distance < b.distance;
};

// n: a multiple of 16.
float least_of(const float* x, std::size_t n) {
  float least[16];
  std::fill_n(least, 16, infinity);
  for (std::size_t i = 0; i < n; i += 16)
    for (std::size_t l = 0; l < 16; ++l) least[l] = x[i + l] < least[l] ? x[i + l] : least[l];
  return *std::min_element(least, least + 16);
}

}  // namespace

BatchSearch::BatchSearch(const Trained& trained, std::span<const SegmentView> segments,
                         std::span<const float> queries, const RowFilter* filter)
    : trained_(trained),
      segments_(segments),
      vectors_(queries),
      filter_(filter),
      dim_(trained.dim()),
      padded_(trained.padded()),
      rotated_(queries.size() / trained.dim() * trained.padded()),
      bytes_(rotated_.size()),
      queries_(queries.size() / trained.dim()) {
  for (std::size_t q = 0; q < queries_.size(); ++q) {
    float* x = &rotated_[q * padded_];
    const float* query = &queries[q * dim_];
    trained.rotate_query(x, query);
    Query& made = queries_[q];
    made.scale = trained.kernels.to_bytes(reinterpret_cast<std::uint8_t*>(&bytes_[q * padded_]), x,
                                          padded_, 0);
    made.sum = trained.kernels.sum(x, padded_);
    trained.kernels.dot[0](&made.constant, x, x, 0, 1, padded_);
    if (!l2()) {
      double shift = 0;
      for (std::size_t j = 0; j < dim_; ++j)
        shift -= static_cast<double>(query[j]) * trained.mean[j];
      made.constant = static_cast<float>(shift);
    }
    made.limit = infinity;
  }
}

// Lists by their keys: the nearest two go into near_, the others within the gap into far_.
void BatchSearch::choose_lists(std::size_t q, const float* keys, const ProbePlan& plan) {
  const std::size_t n = trained_.centroids.count();
  const float key_scale = l2() ? 1.0f : 0.5f;
  std::vector<float>& values = limits_;  // not yet in use
  std::vector<std::uint32_t>& places = places_;
  values.resize(std::max(values.size(), n));
  places.resize(n);
  const float least = least_of(keys, trained_.centroids.padded_count());
  float gap = plan.gap;
  if (const GapModel& model = plan.model; model.wide > 0) {
    const std::size_t wide = trained_.kernels.at_most(values.data(), places.data(), keys, n,
                                                      least + model.wide / key_scale);
    Features seen = model.typical;
    seen[centroid_distance] = (queries_[q].constant + key_scale * least) / model.unit;
    gap = model.gap(plan.depth, model.rate_of(seen, model.batch_weights),
                    std::span(values).first(wide), least, key_scale);
  }
  float up_to = least + gap / key_scale;
  if (plan.lists > 0) {
    std::copy(keys, keys + n, values.begin());
    const auto last = values.begin() + static_cast<std::ptrdiff_t>(std::min(plan.lists, n) - 1);
    std::nth_element(values.begin(), last, values.begin() + static_cast<std::ptrdiff_t>(n));
    up_to = *last;
  }
  const std::size_t found = trained_.kernels.at_most(values.data(), places.data(), keys, n, up_to);
  float best = infinity, bound = infinity;  // the least two
  for (std::size_t i = 0; i < found; ++i) {
    bound = std::min(bound, std::max(best, values[i]));
    best = std::min(best, values[i]);
  }
  for (std::size_t i = 0; i < found; ++i)
    (values[i] <= bound ? near_ : far_)
        .push_back({static_cast<std::uint32_t>(q), trained_.centroids.id(places[i])});
}

bool BatchSearch::run(const ProbePlan& plan, float scale, std::span<TopHits> top) {
  wanted_ = plan.exact;
  const std::size_t stride = trained_.centroids.padded_count();
  std::vector<float> keys(some_queries * stride);
  for (std::size_t first = 0; first < queries_.size(); first += some_queries) {
    const std::size_t count = std::min(some_queries, queries_.size() - first);
    trained_.centroids.keys(keys.data(), &rotated_[first * padded_], count, l2());
    for (std::size_t i = 0; i < count; ++i) choose_lists(first + i, &keys[i * stride], plan);
  }
  if (!scan_pairs(near_) || !scan_pairs(far_)) return false;
  for (std::size_t q = 0; q < queries_.size(); ++q)
    offer(queries_[q], &vectors_[q * dim_], scale, top[q]);
  return true;
}

bool BatchSearch::scan_pairs(std::vector<Pair>& pairs) {
  std::vector<std::uint32_t> ends(trained_.centroids.count() + 1);
  for (const Pair& pair : pairs) ++ends[pair.list + 1];
  std::partial_sum(ends.begin(), ends.end(), ends.begin());
  std::vector<Pair> sorted(pairs.size());
  for (const Pair& pair : pairs) sorted[ends[pair.list]++] = pair;
  for (std::size_t first = 0; first < sorted.size();) {
    const std::size_t list = sorted[first].list, last = ends[list];
    if (!scan_list(list, std::span(sorted).subspan(first, last - first))) return false;
    first = last;
  }
  return true;
}

bool BatchSearch::scan_list(std::size_t list, std::span<const Pair> pairs) {
  const std::size_t panels = (pairs.size() + byte_panel_rows - 1) / byte_panel_rows;
  const std::size_t columns = panels * byte_panel_rows;
  panels_.resize(std::max(panels_.size(), columns * padded_));
  hits_.resize(std::max(hits_.size(), pair_rows * columns));
  zeros_.resize(std::max(zeros_.size(), columns));
  places_.resize(std::max(places_.size(), columns));
  for (auto* values : {&bases_, &scales_, &sums_, &limits_})
    values->resize(std::max(values->size(), columns));
  std::fill_n(limits_.begin(), columns, -infinity);
  for (std::size_t c = 0; c < pairs.size(); ++c) {
    const std::size_t q = pairs[c].query;
    std::int8_t* panel =
        &panels_[c / byte_panel_rows * byte_panel_rows * padded_ + c % byte_panel_rows * 4];
    for (std::size_t j = 0; j < padded_; j += 4)
      std::memcpy(panel + j * byte_panel_rows, &bytes_[q * padded_ + j], 4);
    scales_[c] = queries_[q].scale;
    sums_[c] = queries_[q].sum;
    places_[c] = static_cast<std::uint32_t>(q);
  }
  const auto measure = l2() ? trained_.kernels.l2_at[0] : trained_.kernels.dot_at[0];
  measure(bases_.data(), trained_.centroids.at(list), rotated_.data(), padded_ * sizeof(float),
          places_.data(), pairs.size(), padded_);
  for (std::size_t c = 0; c < pairs.size(); ++c) {
    const Query& query = queries_[pairs[c].query];
    if (!l2()) bases_[c] = query.constant - bases_[c];
    limits_[c] = query.limit - bases_[c];
  }
  for (std::size_t g = 0; g < segments_.size(); ++g) {
    if (!segments_[g].segment->touch(list)) return false;
    scan_rows(g, list, pairs);
  }
  return true;
}

void BatchSearch::scan_rows(std::size_t g, std::size_t list, std::span<const Pair> pairs) {
  const Segment& segment = *segments_[g].segment;
  const std::size_t end = segment.arrays.starts[list + 1], stride = segment.row_bytes();
  const float times = l2() ? 2.0f : 1.0f;
  float terms[pair_rows], factors[pair_rows], slacks[pair_rows];
  for (std::size_t first = segment.arrays.starts[list]; first < end; first += pair_rows) {
    const std::size_t count = std::min(pair_rows, end - first);
    for (std::size_t i = 0; i < count; ++i) {
      ResidualTerms row;
      std::memcpy(&row, segment.row(first + i), sizeof row);
      terms[i] = row.first;
      factors[i] = times * row.scale;
      slacks[i] = times * row.offset;
    }
    const kernels::PairScan scan = {.rows = segment.row(first) + sizeof(ResidualTerms),
                                    .stride = stride,
                                    .m = count,
                                    .terms = terms,
                                    .factors = factors,
                                    .slacks = slacks,
                                    .panels = panels_.data(),
                                    .count = (pairs.size() + byte_panel_rows - 1) / byte_panel_rows,
                                    .dim = padded_,
                                    .scales = scales_.data(),
                                    .norms = sums_.data(),
                                    .limits = limits_.data(),
                                    .offsets = zeros_.data()};
    const std::size_t found = trained_.kernels.near_pairs(hits_.data(), &scan);
    for (std::size_t h = 0; h < found; ++h) {
      const std::size_t column = hits_[h].column, q = pairs[column].query;
      // The limit may have moved since the pair was found.
      if (!(hits_[h].value < limits_[column])) continue;
      keep(g, first + hits_[h].row, q, bases_[column] + hits_[h].value);
      limits_[column] = queries_[q].limit - bases_[column];
    }
  }
}

void BatchSearch::keep(std::size_t g, std::size_t place, std::size_t q, float distance) {
  const SegmentView& view = segments_[g];
  if (view.is_dead(place)) return;
  if (filter_ != nullptr && !filter_->allows(view.segment->arrays.ids[place])) return;
  Query& query = queries_[q];
  const Candidate made{distance, static_cast<std::uint32_t>(place),
                       static_cast<std::uint32_t>(g) & 0xFF, 0};
  if (query.nearest.size() == wanted_) {
    std::pop_heap(query.nearest.begin(), query.nearest.end(), by_distance);
    query.nearest.back() = made;
  } else {
    query.nearest.push_back(made);
  }
  std::push_heap(query.nearest.begin(), query.nearest.end(), by_distance);
  if (query.nearest.size() == wanted_) query.limit = query.nearest.front().distance;
}

void BatchSearch::offer(Query& query, const float* vector, float scale, TopHits& top) {
  const std::size_t bytes = dim_ * sizeof(float);
  for (const Candidate& c : query.nearest)
    if (const float* row = segments_[c.segment].segment->exact(c.place))
      for (std::size_t j = 0; j < std::min<std::size_t>(dim_, 128); j += 16)
        __builtin_prefetch(row + j);
  for (const Candidate& c : query.nearest) {
    const Segment& segment = *segments_[c.segment].segment;
    float distance = c.distance;
    if (!segment.arrays.floats.empty()) {
      const auto measure = l2() ? trained_.kernels.l2_at[0] : trained_.kernels.dot_at[0];
      measure(&distance, vector, segment.arrays.floats.data(), bytes, &c.place, 1, dim_);
      if (!l2()) distance = -distance;
    } else {  // without the rounding of the query
      ResidualTerms terms;
      std::memcpy(&terms, segment.row(c.place), sizeof terms);
      const float* x = &rotated_[static_cast<std::size_t>(&query - queries_.data()) * padded_];
      const float* centroid = trained_.centroids.at(segment.list_of(c.place));
      (l2() ? trained_.kernels.l2[0] : trained_.kernels.dot[0])(&distance, x, centroid, 0, 1,
                                                                padded_);
      if (!l2()) distance = query.constant - distance;
      distance +=
          terms.first - (l2() ? 2.0f : 1.0f) * exact_product(segment, c.place, x, query.sum);
    }
    top.offer(segment.arrays.ids[c.place], l2() ? std::max(0.0f, scale * distance) : distance);
  }
}

}  // namespace hearth::vectors
