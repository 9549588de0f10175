// One query over the segments of an IVF index: which lists to probe, scans of codes, ranking.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/guarded.h"
#include "vectors/ivf/segment.h"
#include "vectors/top_hits.h"

namespace hearth::vectors {

// How far to look.  Lists are probed whose centroid is at most `gap` farther than the nearest; the
// best `candidates` by their codes are ranked by their bytes, the best `exact` of them by their
// floats.
struct ProbePlan {
  float gap = 0;
  // How many lists are usually within the gap, and how strongly the gap shrinks where there are
  // more: by their ratio to this power.  Learned from queries of which the answer is known.
  float typical_lists = 0, crowding = 0;
  std::size_t lists = 0;  // > 0: so many lists, whatever their distance
  std::size_t candidates = 100, exact = 20;
  // Of the tenth hit, when `gap` was found to suffice: where hits are farther (filters, many hits),
  // the gap grows in proportion.  0: it does not grow.
  float typical_distance = 0;
  float radius = std::numeric_limits<float>::infinity();  // hits farther are not wanted
};

struct ProbeCounts {
  std::size_t lists = 0, rows = 0;
};

struct Candidate {
  float distance;
  std::uint32_t place;                   // in its segment
  std::uint32_t segment : 8, list : 24;  // list: its index among those probed
};

// What a search needs of memory, kept from one to the next.  Used by one thread at a time.
struct SearchScratch {
  std::vector<float> query, keys, list_keys, bases, values, distances;
  std::vector<std::int8_t> bytes;
  std::vector<std::uint8_t> tables;
  std::vector<std::uint32_t> lists, order, places, ids;
  std::vector<std::int32_t> dots;
  std::vector<Candidate> candidates;
};

class SegmentSearch {
 public:
  // query: [dim]; of length one if rows are.  All of it stays readable while the object lives.
  SegmentSearch(const Trained& trained, std::span<const SegmentView> segments, const float* query,
                const RowFilter* filter, SearchScratch& scratch);

  // Offers what is found.  `scale` multiplies distances (one half for cosine).  False: a list of a
  // mapped file is damaged.
  bool run(const ProbePlan& plan, std::size_t k, float scale, TopHits& top);

  // Every row compared by its bytes: out[i] = distance of row i of one segment.
  void all_distances(const Segment& segment, float* out);
  // Exactly these rows, by their floats or else bytes.
  void offer_rows(std::span<const Candidate> rows, float scale, TopHits& top);

  const ProbeCounts& counts() const { return counts_; }

 private:
  void prepare_query();
  float key_scale() const { return trained_.metric == Metric::l2 ? 1.0f : 0.5f; }
  void choose_lists(float above, float up_to, std::size_t most);
  bool scan_lists(const ProbePlan& plan);
  void take(std::size_t segment, std::size_t slot, std::size_t kept, float base);
  std::size_t step_of(float estimate) const {
    const float step = (estimate - low_) * per_step_;
    return step <= 0 ? 0 : std::min(static_cast<std::size_t>(step), top_step_);
  }
  float gap_of(const ProbePlan& plan);
  void start_counting();
  void cut_candidates(std::size_t most);
  void rank_by_bytes();
  float near_base(std::size_t slot) const;  // of estimates: by the bytes of centroids
  float exact_base(std::size_t slot);
  void byte_distances(std::span<Candidate> part);
  void offer(const ProbePlan& plan, float scale, TopHits& top);
  float exact_distance(const Candidate& candidate) const;

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
  // While lists are scanned: how many candidates lie in each of these steps from low_ to where the
  // limit was; the limit follows the `wanted_`th.
  static constexpr std::size_t steps = 256;
  std::array<std::uint32_t, steps> in_step_;
  bool counting_ = false;
  float low_ = 0, step_ = 1, per_step_ = 1;
  std::size_t top_step_ = 0, within_ = 0, wanted_ = 0;
  std::size_t probed_ = 0;  // lists at the front of s_.lists that are scanned
  ProbeCounts counts_;
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
