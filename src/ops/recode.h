// Stored types that have no panels of their own, as one that has.
#pragma once

#include <cstddef>

#include "kernels/panels.h"
#include "tensor/dtype.h"

namespace hearth::ops {

// A block of `from` is one of `block_bytes` that `panel` is packed from, the same numbers, but for
// what is added to each group of `group_columns` numbers; 0: nothing is.
struct Recoding {
  Dtype from;
  kernels::Panel panel;
  std::size_t block_bytes, group_columns;
  // blocks: whole ones of `from`, at any alignment.  minima: [count * block / group_columns], what
  // is added to each group.
  void (*recode)(std::byte* out, float* minima, const std::byte* blocks, std::size_t count);
};

// nullptr: not such a type.
const Recoding* recoding_of(Dtype dtype);

// Bytes that a matrix takes in memory for each that is stored, about.
double growth_of(Dtype dtype);

}  // namespace hearth::ops
