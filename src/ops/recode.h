// Stored types that have no panels of their own, as one that has.
#pragma once

#include <cstddef>

#include "tensor/dtype.h"

namespace hearth::ops {

// Blocks that have 16 groups, each of codes of six bits at most and a scale of eight, are blocks of
// q6_k: the same numbers at 6.6 bits.
struct Recoding {
  Dtype from;
  // Whole blocks of `from`, at any alignment, become as many of q6_k.
  void (*recode)(std::byte* out, const std::byte* blocks, std::size_t count);
};
constexpr Dtype recoded_type = Dtype::q6_k;

// nullptr: not such a type.
const Recoding* recoding_of(Dtype dtype);

}  // namespace hearth::ops
