// What differs between the layers of a model: windows, rotation, mixtures of experts.
#pragma once

#include "models/arch_spec.h"
#include "models/hyper_source.h"

namespace hearth::models {

// Each fills its part of `hyper`, whose sizes are set.  Errors as read_hyper.
Status read_windows(const HyperSource& source, const ArchSpec& spec, Hyper& hyper);
Status read_rotating_layers(const HyperSource& source, const ArchSpec& spec, Hyper& hyper);
Status read_experts(const HyperSource& source, const ArchSpec& spec, Hyper& hyper);

}  // namespace hearth::models
