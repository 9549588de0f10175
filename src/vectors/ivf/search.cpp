#include "vectors/ivf/search.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace hearth::vectors {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr int most_widenings = 8;

// An object, not a function: sorting takes it in.
constexpr auto by_distance = [](const Candidate& a, const Candidate& b) {
  return a.distance < b.distance;
};

template <typename T>
T* room(std::vector<T>& values, std::size_t n) {
  if (values.size() < n) values.resize(n);
  return values.data();
}

}  // namespace

SegmentSearch::SegmentSearch(const Trained& trained, std::span<const SegmentView> segments,
                             const float* query, const RowFilter* filter, SearchScratch& scratch)
    : trained_(trained), segments_(segments), query_(query), filter_(filter), s_(scratch) {
  prepare_query();
}

void SegmentSearch::prepare_query() {
  const std::size_t padded = trained_.padded();
  float* q = room(s_.query, padded);
  trained_.rotate_query(q, query_);
  float norm = 0, sum = 0;
  for (std::size_t j = 0; j < padded; ++j) {
    norm += q[j] * q[j];
    sum += q[j];
  }
  sum_ = sum;
  constant_ = norm;
  if (trained_.metric == Metric::inner_product) {
    double shift = 0;
    for (std::size_t j = 0; j < trained_.dim(); ++j)
      shift -= static_cast<double>(query_[j]) * trained_.mean[j];
    constant_ = static_cast<float>(shift);
  }
  byte_scale_ = to_signed_bytes(room(s_.bytes, padded), q, padded);
  least_ = trained_.centroids.keys(room(s_.keys, trained_.centroids.padded_count()), q,
                                   trained_.metric == Metric::l2);
  trained_.coder->tables(room(s_.tables, trained_.coder->groups() * 32), &code_scale_,
                         &code_offset_, q);
  s_.lists.clear();
  s_.list_keys.clear();
  s_.bases.clear();
  s_.candidates.clear();
  limit_ = infinity;
}

// Adds the lists whose key is in (above, up_to], the nearest first, at most `most` in all.
void SegmentSearch::choose_lists(float above, float up_to, std::size_t most) {
  const std::size_t n = trained_.centroids.count(), before = s_.lists.size();
  float* values = room(s_.values, n);
  std::uint32_t* places = room(s_.places, n);
  std::size_t found = trained_.kernels.at_most(values, places, s_.keys.data(), n, up_to);
  if (before > 0) {
    std::size_t fresh = 0;
    for (std::size_t i = 0; i < found; ++i) {
      values[fresh] = values[i];
      places[fresh] = places[i];
      fresh += values[i] > above;
    }
    found = fresh;
  }
  std::uint32_t* order = room(s_.order, found);
  // Sorted into drawers: roughly by distance is enough.
  constexpr std::size_t drawers = 64;
  std::array<std::uint32_t, drawers + 1> starts{};
  const float from = before > 0 ? above : least_;
  const float width = std::max((up_to - from) / drawers, std::numeric_limits<float>::min());
  const auto drawer = [&](float key) {
    return std::min<std::size_t>(static_cast<std::size_t>(std::max(key - from, 0.0f) / width),
                                 drawers - 1);
  };
  for (std::size_t i = 0; i < found; ++i) ++starts[drawer(values[i]) + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  for (std::size_t i = 0; i < found; ++i)
    order[starts[drawer(values[i])]++] = static_cast<std::uint32_t>(i);
  const std::size_t room_left = most > before ? most - before : 0;
  for (std::size_t i = 0; i < std::min(found, room_left); ++i) {
    s_.lists.push_back(places[order[i]]);
    s_.list_keys.push_back(values[order[i]]);
  }
  s_.bases.resize(s_.lists.size(), NAN);
}

void SegmentSearch::take(std::size_t segment, std::size_t slot, std::size_t kept, float base) {
  const SegmentView& view = segments_[segment];
  const bool check = filter_ != nullptr || view.dead != nullptr;
  const Row* ids = view.segment->arrays.ids.data();
  for (std::size_t i = 0; i < kept; ++i) {
    const std::uint32_t place = s_.places[i];
    if (check) {
      if (view.is_dead(place)) continue;
      if (filter_ != nullptr && !filter_->allows(ids[place])) continue;
    }
    const float estimate = base + trained_.unit * s_.values[i];
    if (counting_) {
      if (estimate >= limit_) continue;
      ++in_step_[step_of(estimate)];
      ++within_;
      while (within_ - in_step_[top_step_] >= wanted_) {
        within_ -= in_step_[top_step_--];
        limit_ = low_ + static_cast<float>(top_step_ + 1) * step_;
      }
    }
    s_.candidates.push_back({estimate, place, static_cast<std::uint32_t>(segment) & 0xFF,
                             static_cast<std::uint32_t>(slot) & 0xFFFFFF});
  }
  if (!counting_ && s_.candidates.size() >= 2 * wanted_) start_counting();
}

// From the first limit on.
void SegmentSearch::start_counting() {
  cut_candidates(wanted_);
  low_ = std::min_element(s_.candidates.begin(), s_.candidates.end(), by_distance)->distance;
  step_ = (limit_ - low_) / static_cast<float>(steps);
  if (!(step_ > 0)) return;
  per_step_ = 1 / step_;
  in_step_.fill(0);
  top_step_ = steps - 1;
  for (const Candidate& candidate : s_.candidates) ++in_step_[step_of(candidate.distance)];
  within_ = s_.candidates.size();
  counting_ = true;
}

void SegmentSearch::cut_candidates(std::size_t most) {
  if (s_.candidates.size() <= most) return;
  const auto last = s_.candidates.begin() + static_cast<std::ptrdiff_t>(most);
  std::nth_element(s_.candidates.begin(), last - 1, s_.candidates.end(), by_distance);
  s_.candidates.erase(last, s_.candidates.end());
  limit_ = s_.candidates.back().distance;
}

// The codes of the lists that are chosen and not yet scanned.
bool SegmentSearch::scan_lists(const ProbePlan& plan) {
  const std::size_t groups = trained_.coder->groups();
  wanted_ = plan.candidates;
  kernels::CodeScan scan{};
  scan.tables = s_.tables.data();
  scan.groups = groups;
  scan.scale = code_scale_;
  scan.offset = code_offset_;
  for (std::size_t g = 0; g < segments_.size(); ++g) {
    const Segment& segment = *segments_[g].segment;
    const SegmentArrays& arrays = segment.arrays;
    for (std::size_t slot = probed_; slot < s_.lists.size(); ++slot) {
      const std::size_t list = s_.lists[slot];
      const std::size_t rows = arrays.starts[list + 1] - arrays.starts[list];
      scan.next = slot + 1 < s_.lists.size()
                      ? arrays.codes.data() +
                            arrays.blocks[s_.lists[slot + 1]] * kernels::block_bytes(groups)
                      : nullptr;
      if (rows == 0) continue;
      if (!segment.touch(list)) return false;
      const float base = near_base(slot);
      scan.blocks = arrays.codes.data() + arrays.blocks[list] * kernels::block_bytes(groups);
      scan.count = arrays.blocks[list + 1] - arrays.blocks[list];
      scan.place = arrays.starts[list];
      scan.limit = (limit_ - base) / trained_.unit;
      room(s_.values, scan.count * kernels::block_vectors);
      room(s_.places, scan.count * kernels::block_vectors);
      const std::size_t kept =
          trained_.kernels.scan_codes(s_.values.data(), s_.places.data(), &scan);
      counts_.rows += rows;
      if (kept == 0) continue;
      take(g, slot, kept, base);
    }
  }
  counting_ = false;
  counts_.lists += s_.lists.size() - probed_;
  probed_ = s_.lists.size();
  cut_candidates(plan.candidates);
  return true;
}

float SegmentSearch::near_base(std::size_t slot) const {
  return constant_ + key_scale() * s_.list_keys[slot];
}

float SegmentSearch::exact_base(std::size_t slot) {
  float& base = s_.bases[slot];
  if (!std::isnan(base)) return base;
  const float* centroid = trained_.centroids.at(s_.lists[slot]);
  const std::size_t padded = trained_.padded();
  if (trained_.metric == Metric::l2) {
    trained_.kernels.l2[0](&base, s_.query.data(), centroid, 0, 1, padded);
  } else {
    trained_.kernels.dot[0](&base, s_.query.data(), centroid, 0, 1, padded);
    base = constant_ - base;
  }
  return base;
}

// All of one segment.
void SegmentSearch::byte_distances(std::span<Candidate> part) {
  const std::size_t n = part.size(), padded = trained_.padded();
  const Segment& segment = *segments_[part[0].segment].segment;
  std::uint32_t* ids = room(s_.ids, n);
  std::int32_t* dots = room(s_.dots, n);
  const std::uint8_t* rows = segment.arrays.rows.data();
  const std::size_t stride = segment.row_bytes();
  for (std::size_t i = 0; i < n; ++i) {
    ids[i] = part[i].place;
    __builtin_prefetch(rows + ids[i] * stride);
  }
  trained_.kernels.dots_u8_at(dots, s_.bytes.data(), rows + sizeof(ResidualTerms), stride, ids, n,
                              padded);
  const float times = trained_.metric == Metric::l2 ? 2.0f : 1.0f;
  for (std::size_t i = 0; i < n; ++i) {
    ResidualTerms terms;
    std::memcpy(&terms, rows + ids[i] * stride, sizeof terms);
    const float product =
        terms.offset * sum_ + terms.scale * byte_scale_ * static_cast<float>(dots[i]);
    part[i].distance = exact_base(part[i].list) + terms.first - times * product;
  }
}

void SegmentSearch::rank_by_bytes() {
  auto& all = s_.candidates;
  if (segments_.size() > 1)
    std::sort(all.begin(), all.end(),
              [](const Candidate& a, const Candidate& b) { return a.segment < b.segment; });
  for (std::size_t i = 0; i < all.size();) {
    std::size_t end = i + 1;
    while (end < all.size() && all[end].segment == all[i].segment) ++end;
    byte_distances(std::span(all).subspan(i, end - i));
    i = end;
  }
}

float SegmentSearch::exact_distance(const Candidate& candidate) const {
  const float* vector = segments_[candidate.segment].segment->exact(candidate.place);
  float distance;
  if (trained_.metric == Metric::l2) {
    trained_.kernels.l2[0](&distance, query_, vector, 0, 1, trained_.dim());
    return distance;
  }
  trained_.kernels.dot[0](&distance, query_, vector, 0, 1, trained_.dim());
  return -distance;
}

void SegmentSearch::offer(const ProbePlan& plan, float scale, TopHits& top) {
  auto& all = s_.candidates;
  const bool floats = std::all_of(segments_.begin(), segments_.end(), [](const SegmentView& view) {
    return !view.segment->arrays.floats.empty();
  });
  if (floats && all.size() > plan.exact) {
    const auto last = all.begin() + static_cast<std::ptrdiff_t>(plan.exact);
    std::nth_element(all.begin(), last - 1, all.end(), by_distance);
    all.erase(last, all.end());
  }
  if (floats) {
    const std::size_t bytes = trained_.dim() * sizeof(float);
    for (const Candidate& c : all) {
      const auto* row =
          reinterpret_cast<const std::uint8_t*>(segments_[c.segment].segment->exact(c.place));
      for (std::size_t b = 0; b < bytes; b += 64) __builtin_prefetch(row + b);
    }
  }
  for (const Candidate& c : all) {
    const float distance = floats ? exact_distance(c) : c.distance;
    top.offer(segments_[c.segment].segment->arrays.ids[c.place],
              trained_.metric == Metric::l2 ? std::max(0.0f, scale * distance) : distance);
  }
}

// Where centroids crowd around the query, fewer of them are needed than lie within the gap; where
// they are sparse, more.
float SegmentSearch::gap_of(const ProbePlan& plan) {
  if (plan.crowding == 0 || plan.typical_lists <= 0 || plan.lists > 0) return plan.gap;
  const std::size_t n = trained_.centroids.count();
  const std::size_t within = trained_.kernels.at_most(
      room(s_.values, n), room(s_.places, n), s_.keys.data(), n, least_ + plan.gap / key_scale());
  const float crowd = static_cast<float>(std::max<std::size_t>(within, 1)) / plan.typical_lists;
  return plan.gap * std::clamp(std::pow(crowd, -plan.crowding), 0.4f, 2.5f);
}

bool SegmentSearch::run(const ProbePlan& plan, std::size_t k, float scale, TopHits& top) {
  if (segments_.empty()) return true;
  const std::size_t all_lists = trained_.centroids.count();
  float up_to = least_ + gap_of(plan) / key_scale();
  std::size_t most = all_lists;
  if (plan.lists > 0) {  // the key of the last list
    most = std::min(plan.lists, all_lists);
    s_.values.assign(s_.keys.begin(), s_.keys.begin() + static_cast<std::ptrdiff_t>(all_lists));
    const auto last = s_.values.begin() + static_cast<std::ptrdiff_t>(most - 1);
    std::nth_element(s_.values.begin(), last, s_.values.end());
    up_to = *last;
  }
  choose_lists(-infinity, up_to, most);
  if (!scan_lists(plan)) return false;
  rank_by_bytes();
  const bool may_widen = plan.lists == 0 && plan.typical_distance != 0;
  for (int round = 0; may_widen && round < most_widenings && probed_ < all_lists; ++round) {
    float wanted = up_to + (up_to - least_) + std::numeric_limits<float>::min();
    if (s_.candidates.size() >= k) {
      const auto kth = s_.candidates.begin() + static_cast<std::ptrdiff_t>(k - 1);
      std::nth_element(s_.candidates.begin(), kth, s_.candidates.end(), by_distance);
      const float typical = plan.typical_distance;
      const float ratio = 1 + (kth->distance - typical) / std::abs(typical);
      wanted = least_ + plan.gap * ratio / key_scale();
    }
    if (plan.radius < infinity) {
      const float typical = plan.typical_distance;
      const float ratio = std::max(1.0f, 1 + (plan.radius - typical) / std::abs(typical));
      wanted = std::min(wanted, least_ + plan.gap * ratio / key_scale());
    }
    if (!(wanted > up_to * (up_to > 0 ? 1.02f : 0.98f))) break;
    // Estimates and distances by bytes are compared with one another from here on.
    choose_lists(up_to, wanted, all_lists);
    up_to = wanted;
    if (probed_ == s_.lists.size()) continue;
    if (!scan_lists(plan)) return false;
    rank_by_bytes();
  }
  offer(plan, scale, top);
  return true;
}

void SegmentSearch::all_distances(const Segment& segment, float* out) {
  constexpr std::size_t some_rows = 256;
  std::int32_t dots[some_rows];
  const std::size_t stride = segment.row_bytes(), padded = trained_.padded();
  const float times = trained_.metric == Metric::l2 ? 2.0f : 1.0f;
  const SegmentArrays& arrays = segment.arrays;
  for (std::size_t list = 0; list + 1 < arrays.starts.size(); ++list) {
    s_.lists.assign(1, static_cast<std::uint32_t>(list));
    s_.bases.assign(1, NAN);
    const float base = exact_base(0);
    for (std::size_t first = arrays.starts[list]; first < arrays.starts[list + 1];
         first += some_rows) {
      const std::size_t n = std::min(some_rows, arrays.starts[list + 1] - first);
      const std::uint8_t* rows = segment.row(first);
      trained_.kernels.dots_u8(dots, s_.bytes.data(), rows + sizeof(ResidualTerms), stride, n,
                               padded);
      for (std::size_t i = 0; i < n; ++i) {
        ResidualTerms terms;
        std::memcpy(&terms, rows + i * stride, sizeof terms);
        out[first + i] =
            base + terms.first -
            times * (terms.offset * sum_ + terms.scale * byte_scale_ * static_cast<float>(dots[i]));
      }
    }
  }
}

void SegmentSearch::offer_rows(std::span<const Candidate> rows, float scale, TopHits& top) {
  s_.candidates.assign(rows.begin(), rows.end());
  s_.lists.clear();
  for (Candidate& c : s_.candidates) {
    const Segment& segment = *segments_[c.segment].segment;
    if (segment.arrays.floats.empty())
      s_.lists.push_back(static_cast<std::uint32_t>(segment.list_of(c.place)));
    else
      s_.lists.push_back(0);
    c.list = static_cast<std::uint32_t>(s_.lists.size() - 1) & 0xFFFFFF;
  }
  s_.bases.assign(s_.lists.size(), NAN);
  ProbePlan plan;
  plan.exact = rows.size();
  const bool floats = std::all_of(segments_.begin(), segments_.end(), [](const SegmentView& view) {
    return !view.segment->arrays.floats.empty();
  });
  if (!floats) rank_by_bytes();
  offer(plan, scale, top);
}

}  // namespace hearth::vectors
