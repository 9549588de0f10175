// How the commands that show the machine put its parts.
#pragma once

#include <string>

#include "hardware/cpu.h"

namespace hearth::cli {

std::string cores_text(const hardware::Cpu& cpu);   // "8 physical, 16 logical; Hearth may use 8"
std::string caches_text(const hardware::Cpu& cpu);  // "L1 48 KiB, L2 1 MiB, L3 32 MiB"
std::string features_text(const hardware::Cpu& cpu);

}  // namespace hearth::cli
