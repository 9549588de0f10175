// NVIDIA's GPUs, as its management library tells of them.
#pragma once

#include <vector>

#include "hardware/devices.h"

namespace hearth::hardware {

// Empty where the library is not installed or finds none.  The library stays loaded.
// Source: NVML API reference.
std::vector<Gpu> read_nvidia_gpus();

}  // namespace hearth::hardware
