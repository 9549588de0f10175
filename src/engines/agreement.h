// Whether two ways to run a model are one model.
#pragma once

#include "models/model.h"

namespace hearth::adapters {

// Both read the same short text and must find the same logits behind every token, but for what
// rounding does.  Errors: unsupported (they differ: by how much), those of running them.
Status check_agreement(ops::Context& ctx, const Model& model, const Model& reference);

}  // namespace hearth::adapters
