// A fixed random rotation, fast: it spreads what a vector holds evenly over all numbers, so that
// few bits of each tell most.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/search.h"

namespace hearth::vectors {

// Rounds of random signs and Hadamard transforms; where the dimension is no power of two, of its
// first and its last numbers in turn.  Immutable.
class Rotation {
 public:
  Rotation(std::size_t dim, std::uint64_t seed, const kernels::SearchKernels& kernels);

  std::size_t dim() const { return dim_; }
  std::size_t padded() const { return padded_; }  // dim up to a multiple of 64

  // x: [padded], in place; numbers past dim are zeros.
  void apply(float* x) const;
  void undo(float* x) const;

 private:
  static constexpr std::size_t rounds = 4;
  const float* signs(std::size_t round) const { return signs_.data() + round * width_; }
  std::size_t first(std::size_t round) const { return round % 2 == 0 ? 0 : padded_ - width_; }

  std::size_t dim_, padded_, width_;  // width: of one transform
  std::vector<float> signs_, even_;   // [rounds, width]; [width] of one over the root of width
  const kernels::SearchKernels& kernels_;
};

}  // namespace hearth::vectors
