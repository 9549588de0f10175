// Names of Arm cores, which /proc/cpuinfo gives as numbers.
#pragma once

#include <cstdint>
#include <string>

namespace hearth::hardware {

// "Cortex-A76"; a core that is not known: its numbers.  Source: the main ID register, MIDR_EL1, in
// the technical reference manual of each core.
std::string arm_core_name(std::uint32_t implementer, std::uint32_t part);

}  // namespace hearth::hardware
