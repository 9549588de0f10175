// Dequantisation: stored rows of any number type become f32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace hearth::ops {

// Turns `count` stored elements, whole blocks of the type, into floats.  `stored` may have any
// alignment; every bit pattern is valid.
using DequantiseRow = void (*)(const void* stored, float* out, std::size_t count);

// nullptr: the type holds no numbers to compute with (bool).
DequantiseRow dequantiser(Dtype dtype);

// All of a stored tensor.  Errors: corrupt (`stored` is not `elements` of the type), unsupported.
Result<std::vector<float>> dequantise(Dtype dtype, std::span<const std::byte> stored,
                                      std::uint64_t elements);

}  // namespace hearth::ops
