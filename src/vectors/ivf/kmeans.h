// k-means: centroids that cut data into lists.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <stop_token>
#include <vector>

#include "base/result.h"
#include "kernels/search.h"

namespace hearth {
class ThreadPool;
}

namespace hearth::vectors {

struct KMeansProgress {
  std::size_t iteration = 0, iterations = 0;
  double change = 1;  // of the error since the last iteration, relative
  double elapsed_s = 0, remaining_s = 0;
};

struct KMeansSpec {
  std::size_t clusters = 0, dim = 0;
  std::size_t iterations = 20;
  double tolerance = 1e-3;     // relative change of the error at which it has converged
  std::size_t mini_batch = 0;  // rows of one step; 0: all (Lloyd)
  bool balance = true;         // splits lists far above the mean, in place of the least ones
  std::uint64_t seed = 1;
  std::span<const float> initial = {};  // [clusters, dim]: goes on from there
  ThreadPool* pool = nullptr;
  const kernels::SearchKernels* kernels = nullptr;  // null: the best of this machine
  std::function<void(const KMeansProgress&)> progress = {};
};
constexpr std::size_t most_clusters = 1u << 20;
// Above these, rows are cut in two steps: into about the square root of so many, then each part.
constexpr std::size_t most_flat_clusters = 16384;

struct KMeansResult {
  std::vector<float> centroids;  // [clusters, dim]
  double error = 0;              // mean squared distance of a row to its centroid
  std::size_t iterations = 0;
};

// rows: [n, dim], n >= clusters > 0.  Errors: invalid, cancelled.  The answer does not depend on
// the number of threads.
Result<KMeansResult> kmeans(const KMeansSpec& spec, std::span<const float> rows,
                            std::stop_token stop);

// A sample of a stream in which every row has the same chance, in random order as k-means wants it.
// Source: Vitter 1985, algorithm R.
class Reservoir {
 public:
  Reservoir(std::size_t dim, std::size_t capacity, std::uint64_t seed)
      : dim_(dim), capacity_(capacity), random_(seed) {}
  void offer(std::span<const float> rows);  // [n, dim]
  std::size_t seen() const { return seen_; }
  std::span<const float> rows() const { return rows_; }

 private:
  std::size_t dim_, capacity_, seen_ = 0;
  std::mt19937_64 random_;
  std::vector<float> rows_;
};

}  // namespace hearth::vectors
