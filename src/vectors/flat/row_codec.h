// How a flat index keeps one row, and the distances of a query to such rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/search.h"
#include "vectors/flat/flat.h"

namespace hearth::vectors {

// x = offset + scale * byte; `norm` is the squared length of that.
struct ByteTerms {
  float offset, scale, norm;
};

// Immutable.
class RowCodec {
 public:
  RowCodec(std::size_t dim, Metric metric, Storage storage, const kernels::SearchKernels& kernels);

  std::size_t dim() const { return dim_; }
  Metric metric() const { return metric_; }
  Storage storage() const { return storage_; }
  const kernels::SearchKernels& kernels() const { return kernels_; }
  std::size_t row_bytes() const { return row_bytes_; }

  // row: [row_bytes].  vector: [dim], of length one already if the metric is cosine.
  void encode(std::byte* row, std::span<const float> vector) const;
  void decode(std::span<float> vector, const std::byte* row) const;

 private:
  std::size_t dim_, row_bytes_;
  Metric metric_;
  Storage storage_;
  const kernels::SearchKernels& kernels_;
};

// A query made ready once for many rows.  Points into the vector it is made of.
class RowQuery {
 public:
  RowQuery(const RowCodec& codec, std::span<const float> vector);

  // out[i]: the distance to row i, rows row_bytes apart; `ids` null: the first n, else those.
  void distances(float* out, const std::byte* rows, const std::uint32_t* ids, std::size_t n) const;

 private:
  void byte_distances(float* out, const std::byte* rows, const std::uint32_t* ids,
                      std::size_t n) const;
  void bit_distances(float* out, const std::byte* rows, const std::uint32_t* ids,
                     std::size_t n) const;

  const RowCodec& codec_;
  std::span<const float> vector_;
  std::vector<std::int8_t> high_, low_;  // q = step * (256 * high + low)
  float step_ = 0, sum_ = 0, norm_ = 0;
  std::vector<std::uint8_t> bits_;
};

// vector scaled to length one; zeros stay.
void normalise(std::span<float> vector);
bool all_finite(std::span<const float> values);

}  // namespace hearth::vectors
