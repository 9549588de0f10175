// Stored types that have no panels of their own, as one that has.
#pragma once

#include <cstddef>

#include "tensor/dtype.h"

namespace hearth::ops {

// A block of `from` is one of `to`, the same numbers, but for what is added to each group of
// `group_columns` numbers; 0: nothing is.
struct Recoding {
  Dtype from, to;
  std::size_t group_columns;
  // blocks: whole ones of `from`, at any alignment.  minima: [count * block / group_columns], what
  // is added to each group.
  void (*recode)(std::byte* out, float* minima, const std::byte* blocks, std::size_t count);
};

// nullptr: not such a type.
const Recoding* recoding_of(Dtype dtype);

}  // namespace hearth::ops
