// Quantisation: rows of floats become rows of any stored type.
#pragma once

#include <cstddef>

#include "tensor/dtype.h"

namespace hearth::ops {

// Turns `count` floats, whole blocks of the type, into stored elements.  importance: [count] or
// nullptr; see kernels/encode.h.
using QuantiseRow = void (*)(const float* x, const float* importance, void* stored,
                             std::size_t count);

// With the fastest instructions of this machine.  nullptr: no type that rows are quantised to.
QuantiseRow quantiser(Dtype dtype);

}  // namespace hearth::ops
