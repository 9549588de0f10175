// The architectures that people have added.
#pragma once

#include <vector>

#include "models/arch_spec.h"

namespace hearth::models {

// Newest first; they stay where they are for good.
std::vector<const ArchSpec*> added_architectures();

}  // namespace hearth::models
