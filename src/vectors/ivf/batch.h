// Many queries at once, list by list: the bytes of a list are read once for all queries that look
// into it, as one product of matrices.
#pragma once

#include <span>
#include <vector>

#include "vectors/ivf/search.h"

namespace hearth::vectors {

// Queries that share a list, on average, from which this is faster than one after another.
constexpr double least_sharing = 5;
constexpr std::size_t most_batch_queries = 1024;  // at once: their state stays in the caches

class BatchSearch {
 public:
  // queries: [n, dim]; of length one if rows are.  All of it stays readable while the object lives.
  BatchSearch(const Trained& trained, std::span<const SegmentView> segments,
              std::span<const float> queries, const RowFilter* filter);

  // Offers what is found to top[query].  `scale` multiplies distances (one half for cosine).  A
  // plan's candidates do not matter: rows are compared by their bytes at once.  False: a list of a
  // mapped file is damaged.
  bool run(const ProbePlan& plan, float scale, std::span<TopHits> top);

 private:
  struct Query {
    float scale, sum, constant;  // of its bytes; of its numbers; what every distance has besides
    std::vector<Candidate> nearest;  // a heap, the farthest first
    float limit;
  };
  struct Pair {
    std::uint32_t query, list;
  };

  void choose_lists(std::size_t query, const float* keys, const ProbePlan& plan);
  bool scan_pairs(std::vector<Pair>& pairs);
  bool scan_list(std::size_t list, std::span<const Pair> pairs);
  void scan_rows(std::size_t segment, std::size_t list, std::span<const Pair> pairs);
  void keep(std::size_t segment, std::size_t place, std::size_t query, float distance);
  void offer(Query& query, const float* vector, float scale, TopHits& top);
  bool l2() const { return trained_.metric == Metric::l2; }

  const Trained& trained_;
  std::span<const SegmentView> segments_;
  std::span<const float> vectors_;
  const RowFilter* filter_;
  std::size_t dim_, padded_, wanted_ = 0;
  std::vector<float> rotated_;      // [n, padded]
  std::vector<std::int8_t> bytes_;  // [n, padded]
  std::vector<Query> queries_;
  std::vector<Pair> near_, far_;  // the nearest lists of each query, which give it a limit; others
  // Of the list at hand.
  std::vector<std::int8_t> panels_;
  std::vector<float> bases_, scales_, sums_, limits_;  // by column
  std::vector<std::int32_t> zeros_;
  std::vector<std::uint32_t> places_;  // queries of the columns
  std::vector<kernels::PairHit> hits_;
};

}  // namespace hearth::vectors
