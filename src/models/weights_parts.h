// Fused weights become weights of their own.
#pragma once

#include "models/weights.h"

namespace hearth::models {

// In place: the fused ones are gone.  Errors: unsupported (a type that cannot be taken apart).
Status split_fused(const Hyper& hyper, std::size_t index, Layer& layer);

}  // namespace hearth::models
