// TFLite's operators on numbers of 16 bits, in the fixed-point arithmetic of its reference kernels:
// bit for bit.
#pragma once

#include "graphs/tflite/builder.h"

namespace hearth::graphs::tflite {

// Adds the nodes of an operator whose input has 16-bit numbers with a scale.  False: it is another.
Result<bool> add_fixed(Builder& b, const Operator& op);

}  // namespace hearth::graphs::tflite
