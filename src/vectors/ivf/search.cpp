#include "vectors/ivf/search.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace hearth::vectors {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr int most_widenings = 8;
constexpr std::size_t some_lists = 8;  // that a thread takes at a time

// An object, not a function: sorting takes it in.
constexpr auto by_distance = [](const Candidate& a, const Candidate& b) {
  return a.distance < b.distance;
};

bool has_floats(std::span<const SegmentView> segments) {
  return std::all_of(segments.begin(), segments.end(),
                     [](const SegmentView& view) { return !view.segment->arrays.floats.empty(); });
}

template <typename T>
T* room(std::vector<T>& values, std::size_t n) {
  if (values.size() < n) values.resize(n);
  return values.data();
}

}  // namespace

bool DistanceSteps::start(std::span<const Candidate> candidates) {
  float low = infinity, high = -infinity;
  for (const Candidate& candidate : candidates) {
    low = std::min(low, candidate.distance);
    high = std::max(high, candidate.distance);
  }
  low_ = low;
  step_ = (high - low) / static_cast<float>(count - 1);
  per_step_ = 1 / step_;
  if (!(step_ > 0) || !std::isfinite(per_step_)) return false;
  in_step_.fill(0);
  top_ = count - 1;
  within_ = 0;
  for (const Candidate& candidate : candidates) offer(candidate.distance);
  return true;
}

float DistanceSteps::end() const {
  return top_ == count - 1 ? infinity : low_ + static_cast<float>(top_ + 1) * step_;
}

float DistanceSteps::at_rank(std::size_t rank) const {
  std::size_t sum = 0, step = 0;
  while (step < top_ && (sum += in_step_[step]) < rank) ++step;
  return low_ + static_cast<float>(step) * step_;
}

SegmentSearch::SegmentSearch(const Trained& trained, std::span<const SegmentView> segments,
                             const float* query, const RowFilter* filter, SearchScratch& scratch)
    : trained_(trained), segments_(segments), query_(query), filter_(filter), s_(scratch) {
  prepare_query();
}

void SegmentSearch::prepare_query() {
  const std::size_t padded = trained_.padded();
  float* q = room(s_.query, padded);
  trained_.rotate_query(q, query_);
  sum_ = trained_.kernels.sum(q, padded);
  if (trained_.metric == Metric::l2) {
    trained_.kernels.dot[0](&constant_, q, q, 0, 1, padded);
  } else {
    double shift = 0;
    for (std::size_t j = 0; j < trained_.dim(); ++j)
      shift -= static_cast<double>(query_[j]) * trained_.mean[j];
    constant_ = static_cast<float>(shift);
  }
  byte_scale_ = trained_.kernels.to_bytes(reinterpret_cast<std::uint8_t*>(room(s_.bytes, padded)),
                                          q, padded, 0);
  room(s_.keys, trained_.centroids.padded_count());
  trained_.coder->tables(room(s_.tables, trained_.coder->groups() * 32), &code_scale_,
                         &code_offset_, q);
  s_.lists.clear();
  s_.list_keys.clear();
  s_.bases.clear();
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
    s_.lists.push_back(trained_.centroids.id(places[order[i]]));
    s_.list_keys.push_back(values[order[i]]);
  }
  s_.bases.resize(s_.lists.size(), NAN);
}

// Of the places that a scan kept those that live and may be answered, to the front; how many.
std::size_t SegmentSearch::allowed(std::size_t segment, std::size_t kept) {
  const SegmentView& view = segments_[segment];
  const Row* ids = view.segment->arrays.ids.data();
  std::size_t n = 0;
  for (std::size_t i = 0; i < kept; ++i) {
    const std::uint32_t place = s_.places[i];
    if (view.is_dead(place)) continue;
    if (filter_ != nullptr && !filter_->allows(ids[place])) continue;
    s_.places[n] = place;
    s_.values[n++] = s_.values[i];
  }
  return n;
}

void SegmentSearch::take(std::size_t segment, std::size_t slot, std::size_t kept, float base) {
  if (filter_ != nullptr || segments_[segment].dead != nullptr) kept = allowed(segment, kept);
  Candidate* const all = room(s_.candidates, found_ + kept);
  Candidate made{0, 0, static_cast<std::uint32_t>(segment) & 0xFF,
                 static_cast<std::uint32_t>(slot) & 0xFFFFFF};
  const float unit = trained_.unit, *values = s_.values.data();
  const std::uint32_t* places = s_.places.data();
  for (std::size_t i = 0; i < kept; ++i) {
    made.distance = base + unit * values[i];
    made.place = places[i];
    if (counting_) {
      if (!steps_.offer(made.distance)) continue;
      steps_.shrink(wanted_);
    }
    all[found_++] = made;
  }
  if (counting_)
    limit_ = std::min(limit_, steps_.end());
  else if (found_ >= 2 * wanted_)
    start_counting();
}

// From here on the limit follows the candidates.
void SegmentSearch::start_counting() {
  counting_ = steps_.start(found());
  if (!counting_) {
    found_ = std::min(found_, wanted_);
    if (found_ == wanted_) limit_ = found().back().distance;
    return;
  }
  steps_.shrink(wanted_);
  limit_ = std::min(limit_, steps_.end());
}

void SegmentSearch::drop_beyond(float limit) {
  Candidate* next = s_.candidates.data();
  for (const Candidate& c : found()) {
    *next = c;
    next += c.distance < limit;
  }
  found_ = static_cast<std::size_t>(next - s_.candidates.data());
}

// About the nearest `most`, no fewer.
void SegmentSearch::cut_candidates(std::size_t most) {
  if (found_ <= most) return;
  if (!steps_.start(found())) {
    found_ = most;
    return;
  }
  steps_.shrink(most);
  drop_beyond(steps_.end());
}

void SegmentSearch::end_counting() {
  if (counting_) drop_beyond(steps_.end());
  counting_ = false;
  cut_candidates(wanted_ + wanted_ / 8);
}

// The codes of the lists that are chosen and not yet scanned.
bool SegmentSearch::scan_lists() {
  for (std::size_t g = 0; g < segments_.size(); ++g)
    if (!scan_segment(g)) return false;
  counts_.lists += s_.lists.size() - probed_;
  probed_ = s_.lists.size();
  return true;
}

bool SegmentSearch::scan_segment(std::size_t g) {
  const Segment& segment = *segments_[g].segment;
  std::size_t slot = probed_;
  if (pool_ != nullptr)
    for (std::size_t end; (end = wave_end(segment, slot)) > slot; slot = end)
      if (!scan_together(g, slot, end)) return false;
  for (; slot < s_.lists.size(); ++slot) {
    const std::size_t rows = segment.rows_of(s_.lists[slot]);
    if (rows == 0) continue;
    if (!segment.touch(s_.lists[slot])) return false;
    const std::size_t most = rows + kernels::block_vectors;
    const std::size_t kept = scan_list(segment, slot, room(s_.values, most), room(s_.places, most));
    counts_.rows += rows;
    if (kept != 0) take(g, slot, kept, near_base(slot));
  }
  return true;
}

// The codes of one list, with the limit as it is; how many were kept.  values, places: room for its
// rows and a block.
std::size_t SegmentSearch::scan_list(const Segment& segment, std::size_t slot, float* values,
                                     std::uint32_t* places) const {
  const SegmentArrays& arrays = segment.arrays;
  const std::size_t list = s_.lists[slot], bytes = kernels::block_bytes(trained_.coder->groups());
  kernels::CodeScan scan{};
  scan.tables = s_.tables.data();
  scan.groups = trained_.coder->groups();
  scan.scale = code_scale_;
  scan.offset = code_offset_;
  scan.next = slot + 1 < s_.lists.size()
                  ? arrays.codes.data() + arrays.blocks[s_.lists[slot + 1]] * bytes
                  : nullptr;
  scan.blocks = arrays.codes.data() + arrays.blocks[list] * bytes;
  scan.count = arrays.blocks[list + 1] - arrays.blocks[list];
  scan.place = arrays.starts[list];
  scan.limit = code_limit(slot);
  return trained_.kernels.scan_codes(values, places, &scan);
}

// Where lists from `first` on hold rows enough to be shared; `first` where they do not.
std::size_t SegmentSearch::wave_end(const Segment& segment, std::size_t first) const {
  std::size_t rows = 0;
  for (std::size_t slot = first; slot < s_.lists.size(); ++slot)
    if ((rows += segment.rows_of(s_.lists[slot])) >= share_rows_) return slot + 1;
  return first;
}

// Threads scan with the limit as it is before; then what they kept is taken list by list, with the
// limit as it has become: as if one thread had scanned them.
bool SegmentSearch::scan_together(std::size_t g, std::size_t first, std::size_t last) {
  const Segment& segment = *segments_[g].segment;
  s_.shares.clear();
  std::size_t rows = 0;
  for (std::size_t slot = first; slot < last; ++slot) {
    s_.shares.push_back({rows, 0});
    rows += segment.rows_of(s_.lists[slot]) + kernels::block_vectors;
  }
  float* values = room(s_.shared_values, rows);
  std::uint32_t* places = room(s_.shared_places, rows);
  std::atomic<bool> is_whole = true;
  pool_->parallel_for(last - first, some_lists, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      SharedList& share = s_.shares[i];
      const std::size_t list = s_.lists[first + i];
      if (segment.rows_of(list) == 0) continue;
      if (segment.touch(list))
        share.kept = scan_list(segment, first + i, values + share.start, places + share.start);
      else
        is_whole = false;
    }
  });
  if (!is_whole) return false;
  for (std::size_t slot = first; slot < last; ++slot) {
    const auto [start, found] = s_.shares[slot - first];
    const float limit = code_limit(slot);
    float* kept_values = room(s_.values, found);
    std::uint32_t* kept_places = room(s_.places, found);
    std::size_t kept = 0;
    for (std::size_t i = start; i < start + found; ++i) {
      kept_values[kept] = values[i];
      kept_places[kept] = places[i];
      kept += values[i] < limit;
    }
    counts_.rows += segment.rows_of(s_.lists[slot]);
    if (kept != 0) take(g, slot, kept, near_base(slot));
  }
  return true;
}

float SegmentSearch::near_base(std::size_t slot) const {
  return constant_ + key_scale() * s_.list_keys[slot];
}

float SegmentSearch::exact_base(std::size_t slot) {
  float& base = s_.bases[slot];
  if (std::isfinite(base)) return base;
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
  for (std::size_t i = 0; i < n; ++i) ids[i] = part[i].place;
  trained_.kernels.dots_u8_at(dots, s_.bytes.data(), rows + sizeof(ResidualTerms), stride, ids, n,
                              padded);
  const float times = trained_.metric == Metric::l2 ? 2.0f : 1.0f;
  for (std::size_t i = 0; i < n; ++i) {
    ResidualTerms terms;
    std::memcpy(&terms, rows + ids[i] * stride, sizeof terms);
    const float product =
        terms.offset * sum_ + terms.scale * byte_scale_ * static_cast<float>(dots[i]);
    part[i].distance = near_base(part[i].list) + terms.first - times * product;
  }
}

// By whole vectors: all of one segment.
void SegmentSearch::exact_distances(std::span<Candidate> part) {
  const std::size_t n = part.size(), bytes = trained_.dim() * sizeof(float);
  const SegmentArrays& arrays = segments_[part[0].segment].segment->arrays;
  const float* vectors = arrays.floats.data();
  std::uint32_t* ids = room(s_.ids, n);
  float* distances = room(s_.values, n);
  for (std::size_t i = 0; i < n; ++i) {
    ids[i] = part[i].place;
    __builtin_prefetch(&arrays.ids[ids[i]]);
    const auto* row = reinterpret_cast<const char*>(vectors) + ids[i] * bytes;
    for (std::size_t b = 0; b < std::min<std::size_t>(bytes, 512); b += 64)
      __builtin_prefetch(row + b);
  }
  const bool l2 = trained_.metric == Metric::l2;
  (l2 ? trained_.kernels.l2_at[0] : trained_.kernels.dot_at[0])(distances, query_, vectors, bytes,
                                                                ids, n, trained_.dim());
  for (std::size_t i = 0; i < n; ++i) part[i].distance = l2 ? distances[i] : -distances[i];
}

// Without the rounding of the query.
float SegmentSearch::distance_by_bytes(const Candidate& c) {
  const Segment& segment = *segments_[c.segment].segment;
  ResidualTerms terms;
  std::memcpy(&terms, segment.row(c.place), sizeof terms);
  const float times = trained_.metric == Metric::l2 ? 2.0f : 1.0f;
  return exact_base(c.list) + terms.first -
         times * exact_product(segment, c.place, s_.query.data(), sum_);
}

// Calls f for the candidates of each segment.
template <typename F>
void SegmentSearch::each_segment(F f) {
  const std::span<Candidate> all = found();
  if (segments_.size() > 1)
    std::sort(all.begin(), all.end(),
              [](const Candidate& a, const Candidate& b) { return a.segment < b.segment; });
  for (std::size_t i = 0; i < all.size();) {
    std::size_t end = i + 1;
    while (end < all.size() && (segments_.size() == 1 || all[end].segment == all[i].segment)) ++end;
    f(all.subspan(i, end - i));
    i = end;
  }
}

void SegmentSearch::rank_by_bytes() {
  each_segment([&](std::span<Candidate> part) { byte_distances(part); });
}

// Those of the lists that hold what is left.
void SegmentSearch::prefetch_centroids() {
  for (const Candidate& c : found()) {
    float& base = s_.bases[c.list];
    if (!std::isnan(base)) continue;
    base = infinity;  // asked for
    const float* centroid = trained_.centroids.at(s_.lists[c.list]);
    for (std::size_t j = 0; j < trained_.padded(); j += 16) __builtin_prefetch(centroid + j);
  }
}

void SegmentSearch::offer(const ProbePlan& plan, float scale, TopHits& top) {
  cut_candidates(plan.exact);
  if (has_floats(segments_)) {
    each_segment([&](std::span<Candidate> part) { exact_distances(part); });
  } else {
    prefetch_centroids();
    for (Candidate& c : found()) c.distance = distance_by_bytes(c);
  }
  for (const Candidate& c : found())
    top.offer(segments_[c.segment].segment->arrays.ids[c.place],
              trained_.metric == Metric::l2 ? std::max(0.0f, scale * c.distance) : c.distance);
}

float GapModel::rate_of(const Features& seen, const Features& by) const {
  float sum = 0;
  for (std::size_t f = 0; f < features; ++f) sum += by[f] * (seen[f] - typical[f]);
  return std::exp(rate + std::clamp(sum, -2.0f, 2.0f));
}

// As an exponent: terms that change nothing.
constexpr float negligible = 9;

float GapModel::gap(float depth, float rate_here, std::span<const float> keys, float least,
                    float key_scale) const {
  float sum = 0;
  for (const float key : keys) {
    const float near = std::max(key_scale * (key - least), 0.0f);
    const float grown = power == 1 ? near : power == 2 ? near * near : near * std::sqrt(near);
    if (rate_here * grown < negligible) sum += std::exp(-rate_here * grown);
  }
  const float grown = std::max(depth - std::log(std::max(sum, 1.0f)), 0.0f) / rate_here;
  return power == 1 ? grown : power == 2 ? std::sqrt(grown) : std::cbrt(grown * grown);
}

// Scans the lists within the model's first gap; `seen` is what the model looks at.
bool SegmentSearch::probe_first(const GapModel& model, Features* seen) {
  choose_lists(-infinity, least_ + model.first / key_scale(), trained_.centroids.count());
  if (!scan_lists()) return false;
  if (!counting_ && found_ > near_rank) start_counting();
  const float near = counting_ ? steps_.at_rank(near_rank) : constant_;
  *seen = {(constant_ + key_scale() * least_) / model.unit, near / model.unit};
  return true;
}

// Lists within the gap that suits the query; up_to: the key of the last.
bool SegmentSearch::probe_by_model(const ProbePlan& plan, float* up_to) {
  Features seen;
  const GapModel& model = plan.model;
  if (!probe_first(model, &seen)) return false;
  const std::size_t n = trained_.centroids.count();
  float* wide = room(s_.values, n);
  const std::size_t within = trained_.kernels.at_most(wide, room(s_.places, n), s_.keys.data(), n,
                                                      least_ + model.wide / key_scale());
  counts_.gap = std::max(model.first, model.gap(plan.depth, model.rate_of(seen, model.weights),
                                                {wide, within}, least_, key_scale()));
  *up_to = least_ + counts_.gap / key_scale();
  choose_lists(least_ + model.first / key_scale(), *up_to, n);
  return scan_lists();
}

std::optional<Features> SegmentSearch::features_of(const ProbePlan& plan) {
  Features seen;
  wanted_ = plan.candidates;
  prepare_keys(plan.chunks);
  if (!probe_first(plan.model, &seen)) return std::nullopt;
  return seen;
}

bool SegmentSearch::run(const ProbePlan& plan, std::size_t k, float scale, TopHits& top) {
  if (segments_.empty()) return true;
  const std::size_t all_lists = trained_.centroids.count();
  wanted_ = plan.candidates;
  const bool modelled = plan.model.wide > 0 && filter_ == nullptr && plan.radius == infinity;
  const bool widens = plan.typical_distance != 0;
  prepare_keys(modelled && plan.lists == 0 && !widens ? plan.chunks : 0);
  float up_to = least_ + plan.gap / key_scale();
  if (plan.lists > 0) {  // the key of the last list
    const std::size_t most = std::min(plan.lists, all_lists);
    s_.values.assign(s_.keys.begin(), s_.keys.begin() + static_cast<std::ptrdiff_t>(all_lists));
    const auto last = s_.values.begin() + static_cast<std::ptrdiff_t>(most - 1);
    std::nth_element(s_.values.begin(), last, s_.values.end());
    up_to = *last;
    choose_lists(-infinity, up_to, most);
    if (!scan_lists()) return false;
  } else if (modelled) {
    if (!probe_by_model(plan, &up_to)) return false;
  } else {
    choose_lists(-infinity, up_to, all_lists);
    if (!scan_lists()) return false;
  }
  end_counting();
  rank_by_bytes();
  if (plan.lists == 0 && widens && !widen(plan, k, up_to)) return false;
  offer(plan, scale, top);
  return true;
}

// Where hits are farther than they usually are, more lists.
bool SegmentSearch::widen(const ProbePlan& plan, std::size_t k, float up_to) {
  const std::size_t all_lists = trained_.centroids.count();
  const float typical = plan.typical_distance;
  for (int round = 0; round < most_widenings && probed_ < all_lists; ++round) {
    float wanted = up_to + (up_to - least_) + std::numeric_limits<float>::min();
    if (found_ >= k) {
      const auto kth = s_.candidates.begin() + static_cast<std::ptrdiff_t>(k - 1);
      std::nth_element(s_.candidates.begin(), kth,
                       s_.candidates.begin() + static_cast<std::ptrdiff_t>(found_), by_distance);
      const float ratio = 1 + (kth->distance - typical) / std::abs(typical);
      wanted = least_ + plan.gap * ratio / key_scale();
    }
    if (plan.radius < infinity) {
      const float ratio = std::max(1.0f, 1 + (plan.radius - typical) / std::abs(typical));
      wanted = std::min(wanted, least_ + plan.gap * ratio / key_scale());
    }
    if (!(wanted > up_to * (up_to > 0 ? 1.02f : 0.98f))) break;
    // Estimates and distances by bytes are compared with one another from here on.
    choose_lists(up_to, wanted, all_lists);
    up_to = wanted;
    if (probed_ == s_.lists.size()) continue;
    if (!scan_lists()) return false;
    end_counting();
    rank_by_bytes();
  }
  return true;
}

void SegmentSearch::offer_rows(std::span<const Candidate> rows, float scale, TopHits& top) {
  std::copy(rows.begin(), rows.end(), room(s_.candidates, rows.size()));
  found_ = rows.size();
  s_.lists.clear();
  for (Candidate& c : found()) {
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
  offer(plan, scale, top);
}

}  // namespace hearth::vectors
