// What only TFLite's files hold: the end of detectors, cells with a projection.
#pragma once

#include "graphs/operators.h"

namespace hearth::graphs {

std::span<const Operator> detect_operators();
std::span<const Operator> projected_lstm_operators();

}  // namespace hearth::graphs
