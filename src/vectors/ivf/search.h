// One query over the segments of an IVF index: which lists to probe, scans of codes, ranking.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/guarded.h"
#include "base/thread_pool.h"
#include "vectors/ivf/segment.h"
#include "vectors/top_hits.h"

namespace hearth::vectors {

// What is known of a query before all of its lists are chosen: the distance to the nearest centroid
// and the distance, by its code, of the `near_rank`th row of the lists within GapModel::first, both
// in units of the typical distance.
enum Feature : std::size_t { centroid_distance, near_distance, features };
using Features = std::array<float, features>;
constexpr std::size_t near_rank = 20;

// How hits are spread over lists: a list whose centroid is `gap` farther than the nearest holds a
// share of them in proportion to exp(-rate * gap^power), where the logarithm of the rate is linear
// in the features.  Learned from queries of which the answer is known.
struct GapModel {
  float first = 0, wide = 0;  // gaps: lists that are always looked at, lists that count; 0: unknown
  float unit = 1;             // the typical distance
  float power = 1;
  Features typical{};
  float rate = 0;            // logarithm, of a typical query
  Features weights{};        // of queries one by one
  Features batch_weights{};  // where the last feature is not known

  float rate_of(const Features& seen, const Features& by) const;
  // The gap within which lists hold more than exp(-depth) of the hits each.  keys: of lists within
  // `wide`; key_scale times their difference to `least` is the gap.
  float gap(float depth, float rate, std::span<const float> keys, float least,
            float key_scale) const;
};

// How far to look.  Lists are probed that the model wants at this depth, or, where it does not
// apply, whose centroid is at most `gap` farther than the nearest; the best `candidates` by their
// codes are ranked by their bytes, the best `exact` of them by their floats.
struct ProbePlan {
  float gap = 0, depth = 0;
  GapModel model;
  std::size_t chunks = 0;  // of centroids that are compared with the query; 0: all
  std::size_t lists = 0;   // > 0: so many lists, whatever their distance
  std::size_t candidates = 100, exact = 20;
  // Of the tenth hit, when `gap` was found to suffice: where hits are farther (filters, many hits),
  // the gap grows in proportion.  0: it does not grow.
  float typical_distance = 0;
  float radius = std::numeric_limits<float>::infinity();  // hits farther are not wanted
};

struct ProbeCounts {
  std::size_t lists = 0, rows = 0;
  float gap = 0;
};

struct Candidate {
  float distance;
  std::uint32_t place;                   // in its segment
  std::uint32_t segment : 8, list : 24;  // list: its index among those probed
};

// How many distances lie in each of some equal steps: tells the nearest without sorting.
class DistanceSteps {
 public:
  // Counts candidates.  False: their distances are all the same.
  bool start(std::span<const Candidate> candidates);
  // Counts one more, unless it is beyond the steps that remain.
  bool offer(float distance) {
    const std::size_t step = step_of(distance);
    if (step > top_) return false;
    ++in_step_[step];
    ++within_;
    return true;
  }
  // Leaves out the farthest steps while `wanted` distances remain.
  void shrink(std::size_t wanted) {
    while (within_ - in_step_[top_] >= wanted) within_ -= in_step_[top_--];
  }
  // Distances beyond are not held.
  float end() const;
  float at_rank(std::size_t rank) const;  // about the distance of so many

 private:
  static constexpr std::size_t count = 256;
  std::size_t step_of(float distance) const {
    const float step = (distance - low_) * per_step_;
    return step <= 0 ? 0 : std::min(static_cast<std::size_t>(step), count - 1);
  }
  std::array<std::uint32_t, count> in_step_;
  float low_ = 0, step_ = 1, per_step_ = 1;
  std::size_t top_ = count - 1, within_ = 0;
};

// Where a list's part of what threads found together begins, and how many they kept.
struct SharedList {
  std::size_t start, kept;
};

// What a search needs of memory, kept from one to the next.  Used by one thread at a time.
struct SearchScratch {
  std::vector<float> query, keys, list_keys, bases, values;
  std::vector<std::int8_t> bytes;
  std::vector<std::uint8_t> tables;
  std::vector<std::uint32_t> lists, order, places, ids;
  std::vector<std::int32_t> dots;
  std::vector<Candidate> candidates;
  // Of lists that threads scan together.
  std::vector<SharedList> shares;
  std::vector<float> shared_values;
  std::vector<std::uint32_t> shared_places;
};

class SegmentSearch {
 public:
  // query: [dim]; of length one if rows are.  All of it stays readable while the object lives.
  SegmentSearch(const Trained& trained, std::span<const SegmentView> segments, const float* query,
                const RowFilter* filter, SearchScratch& scratch);

  // From now on, where lists that are scanned together hold `rows` or more, the threads of the pool
  // share them; null: never.  What is found is the same.
  void share(ThreadPool* pool, std::size_t rows) {
    pool_ = pool;
    share_rows_ = rows;
  }

  // Offers what is found.  `scale` multiplies distances (one half for cosine).  False: a list of a
  // mapped file is damaged.
  bool run(const ProbePlan& plan, std::size_t k, float scale, TopHits& top);
  // What the model looks at; in place of run().  None: a list is damaged.
  std::optional<Features> features_of(const ProbePlan& plan);

  // Exactly these rows, by their floats or else bytes.
  void offer_rows(std::span<const Candidate> rows, float scale, TopHits& top);

  const ProbeCounts& counts() const { return counts_; }

 private:
  void prepare_query();
  void prepare_keys(std::size_t chunks) {
    least_ = trained_.centroids.keys(s_.keys.data(), s_.query.data(), trained_.metric == Metric::l2,
                                     chunks);
  }
  float key_scale() const { return trained_.metric == Metric::l2 ? 1.0f : 0.5f; }
  void choose_lists(float above, float up_to, std::size_t most);
  bool scan_lists();
  bool scan_segment(std::size_t segment);
  bool scan_together(std::size_t segment, std::size_t first, std::size_t last);
  std::size_t wave_end(const Segment& segment, std::size_t first) const;
  std::size_t scan_list(const Segment& segment, std::size_t slot, float* values,
                        std::uint32_t* places) const;
  // Values of codes in a list that are worth keeping.
  float code_limit(std::size_t slot) const { return (limit_ - near_base(slot)) / trained_.unit; }
  std::span<Candidate> found() { return std::span(s_.candidates).first(found_); }
  std::size_t allowed(std::size_t segment, std::size_t kept);
  void take(std::size_t segment, std::size_t slot, std::size_t kept, float base);
  bool probe_first(const GapModel& model, Features* seen);
  bool probe_by_model(const ProbePlan& plan, float* up_to);
  bool widen(const ProbePlan& plan, std::size_t k, float up_to);
  void start_counting();
  void end_counting();
  void cut_candidates(std::size_t most);
  void drop_beyond(float limit);
  template <typename F>
  void each_segment(F f);
  void rank_by_bytes();
  float near_base(std::size_t slot) const;  // of estimates: by the bytes of centroids
  float exact_base(std::size_t slot);
  void prefetch_centroids();
  void byte_distances(std::span<Candidate> part);
  void exact_distances(std::span<Candidate> part);
  float distance_by_bytes(const Candidate& candidate);
  void offer(const ProbePlan& plan, float scale, TopHits& top);

  const Trained& trained_;
  std::span<const SegmentView> segments_;
  const float* query_;
  const RowFilter* filter_;
  SearchScratch& s_;
  float code_scale_ = 1, code_offset_ = 0;  // of the tables
  float byte_scale_ = 1, sum_ = 0;          // of the query's bytes; of its numbers
  float constant_ = 0;                      // what every distance has besides
  float least_ = 0;                         // key
  float limit_ = 0;                         // estimates above are not kept
  DistanceSteps steps_;                     // of the candidates, while counting_
  bool counting_ = false;
  std::size_t found_ = 0;   // candidates, at the front of s_.candidates
  std::size_t wanted_ = 0;  // of them; the limit follows the last
  std::size_t probed_ = 0;  // lists at the front of s_.lists that are scanned
  ProbeCounts counts_;
  ThreadPool* pool_ = nullptr;
  std::size_t share_rows_ = 0;
};

// Scratches that searches borrow.  Thread-safe.
class ScratchPool {
 public:
  std::unique_ptr<SearchScratch> take() {
    auto scratch = free_.with([](auto& list) {
      std::unique_ptr<SearchScratch> last;
      if (!list.empty()) {
        last = std::move(list.back());
        list.pop_back();
      }
      return last;
    });
    return scratch != nullptr ? std::move(scratch) : std::make_unique<SearchScratch>();
  }
  void give(std::unique_ptr<SearchScratch> scratch) {
    free_.with([&](auto& list) { list.push_back(std::move(scratch)); });
  }

 private:
  Guarded<std::vector<std::unique_ptr<SearchScratch>>> free_;
};

}  // namespace hearth::vectors
