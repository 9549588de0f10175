// What an IVF index learns once from a sample and then keeps: mean, rotation, centroids, codes.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "base/thread_pool.h"
#include "vectors/index.h"
#include "vectors/ivf/centroids.h"
#include "vectors/ivf/coder.h"
#include "vectors/ivf/kmeans.h"
#include "vectors/ivf/rotation.h"

namespace hearth::vectors {

struct IvfSpec {
  std::size_t dim = 0;
  Metric metric = Metric::l2;
  std::size_t lists = 0;  // 0: by the number of rows when it is trained
  int code_bits = 1;      // of each number in the codes that are scanned, at most most_code_bits
  PqSpec pq = {};         // segments > 0: product quantisation in place of those
  bool keep_floats =
      true;  // an f32 copy for the last ranking; without: about a fifth of the memory
  std::size_t train_at = 20000;  // rows from which maintain() trains; before, every row is compared
  std::size_t tuning_queries = 1000;  // rows that plans for target recalls are measured with
  int threads = 1;
  // Rows whose codes one query scans at a time from which threads share it, if it is alone.
  std::size_t share_rows = 131072;
  const kernels::SearchKernels* kernels = nullptr;  // null: the best of this machine
  std::function<void(const KMeansProgress&)> progress = {};
};
constexpr std::size_t sample_rows_per_list = 64;  // that k-means sees
constexpr std::size_t most_ivf_dim = 4096;  // what sums of 16 bits in a scan of codes can hold

// Immutable; thread-safe.
struct Trained {
  Trained(std::size_t dim, Metric metric, std::uint64_t seed, const kernels::SearchKernels& kernels,
          std::vector<float> mean, std::vector<float> rotated_centroids);

  std::size_t dim() const { return rotation.dim(); }
  std::size_t padded() const { return rotation.padded(); }
  // out: [padded]: around the mean, rotated.  x: [dim].
  void rotate(float* out, const float* x) const;
  // The same, of a query: for products it keeps the mean.
  void rotate_query(float* out, const float* x) const;
  void undo(float* x, float* rotated) const;  // `rotated` is overwritten

  Metric metric;  // l2 or inner_product; cosine is l2 of vectors of length one
  std::uint64_t seed;
  const kernels::SearchKernels& kernels;
  std::vector<float> mean;
  Rotation rotation;
  Centroids centroids;
  std::shared_ptr<const Coder> coder;
  float unit = 1;  // of the terms of codes
};

// rows: [n, dim] in random order; of length one if the metric is cosine.
Result<std::shared_ptr<const Trained>> train_ivf(const IvfSpec& spec, std::size_t lists,
                                                 std::span<const float> rows, ThreadPool* pool,
                                                 std::stop_token stop);

// The codes of `spec` for what is trained already.
Result<std::shared_ptr<const Trained>> with_codes(const Trained& trained, const IvfSpec& spec,
                                                  std::span<const float> rows);

// Lists for so many rows: about four times the root, a multiple of 16.
std::size_t lists_for(std::size_t rows);

}  // namespace hearth::vectors
