#pragma once

#include "graphs/tflite/builder.h"

namespace hearth::graphs::tflite {

// StableHLO's operators and their kin.  Errors: unsupported, without a message: it is none of them.
Status add_stablehlo_operator(Builder& b, const Operator& op);

}  // namespace hearth::graphs::tflite
