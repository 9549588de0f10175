// Centroids, and which are nearest: compared as bytes, near ties checked exactly.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/search.h"

namespace hearth {
class ThreadPool;
}

namespace hearth::vectors {

// Immutable once arranged.  Keys are by position, which is not a centroid's number: id() tells it.
class Centroids {
 public:
  // values: [count, dim]; dim is a multiple of kernels::panel_step.
  Centroids(std::vector<float> values, std::size_t dim, const kernels::SearchKernels& kernels);

  std::size_t count() const { return count_; }
  std::size_t dim() const { return dim_; }
  std::size_t padded_count() const { return norms_.size(); }
  const float* at(std::size_t i) const { return values_.data() + i * dim_; }
  const std::vector<float>& values() const { return values_; }

  // Puts near centroids beside one another, in chunks.
  void arrange();
  std::uint32_t id(std::size_t position) const { return order_[position]; }
  std::size_t chunks() const { return chunks_ == nullptr ? 0 : chunks_->count(); }

  // keys: [padded_count].  For every centroid nearly |c|^2 - 2 q.c, or -2 q.c without norms;
  // infinity in the places past count.  Returns the least.  most_chunks > 0: only those of so many
  // chunks, the nearest; infinity for others.
  float keys(float* keys, const float* query, bool with_norms, std::size_t most_chunks = 0) const;
  // The same of n queries.  keys: [n, padded_count]; queries: [n, dim].
  void keys(float* keys, const float* queries, std::size_t n, bool with_norms) const;

  // The nearest centroid of each row and its exact squared distance.  rows: [n, dim];
  // `distances` may be null.
  void assign(std::uint32_t* nearest, float* distances, const float* rows, std::size_t n) const;
  // The same by all threads of a pool; `pool` may be null.
  void assign(std::uint32_t* nearest, float* distances, const float* rows, std::size_t n,
              ThreadPool* pool) const;

 private:
  static constexpr std::size_t chunk_panels = 2;

  void fill_panels();
  void split(std::size_t begin, std::size_t end);

  std::size_t dim_, count_;
  const kernels::SearchKernels& kernels_;
  std::vector<float> values_;
  std::vector<std::uint32_t> order_;         // ids by position
  std::shared_ptr<const Centroids> chunks_;  // means of chunks; null: not arranged
  std::vector<std::int8_t> panels_;
  float scale_ = 0;                    // of the bytes
  std::vector<float> norms_, zeros_;   // [padded_count]; infinity past count
  std::vector<std::int32_t> offsets_;  // what 128 in every byte of a query adds
};

}  // namespace hearth::vectors
