// Whether other programs want the processors that this one computes on.
#pragma once

#include <cstdint>

namespace hearth {

// How often threads of this process have had to leave a processor while they had work to do.
std::uint64_t times_displaced();

}  // namespace hearth
