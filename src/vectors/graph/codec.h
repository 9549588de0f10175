// Seven-bit codes of vectors: an offset for each component and one scale for all, so that squared
// distances of codes are whole numbers in the order of the true ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vectors/index.h"

namespace hearth::vectors {

struct Codec {
  Metric metric = Metric::l2;
  std::size_t dim = 0;
  std::size_t stride = 0;      // bytes of a code: dim, filled up with zeros
  std::vector<float> offsets;  // [dim]
  float scale = 1;             // of one step of a code

  // Learns offsets and scale.  rows: [n, dim], n > 0.
  static Codec train(Metric metric, std::size_t dim, std::span<const float> rows);
  static std::size_t stride_for(std::size_t dim) { return (dim + 63) / 64 * 64; }

  // code: [stride].  Returns how many components did not fit.
  std::size_t encode(std::uint8_t* code, const float* row) const;

  // What distances() takes as a query.  l2, cosine: a code; inner product: signed bytes.
  void encode_query(std::uint8_t* query, const float* row) const;
};

}  // namespace hearth::vectors
