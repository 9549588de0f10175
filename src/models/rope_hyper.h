// Reading of rotary position settings: both spellings of config.json and the keys of GGUF.
#pragma once

#include "models/arch_spec.h"
#include "models/hyper_source.h"

namespace hearth::models {

// Fills rope, rope_local and rotary_dims of `hyper`, whose sizes are set.
Status read_rope(const HyperSource& source, const Package& package, const ArchSpec& spec,
                 Hyper& hyper);

}  // namespace hearth::models
