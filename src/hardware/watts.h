// Power, from counters of energy.
#pragma once

#include <optional>

#include "hardware/condition.h"

namespace hearth::hardware {

// What the processor took meanwhile; nothing: its counter is not there, or began anew.
std::optional<double> processor_watts(const Condition& before, const Condition& now,
                                      double seconds);

}  // namespace hearth::hardware
