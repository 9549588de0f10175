// Experts: the fast path of a mixture of experts.
#pragma once

#include "models/trunk.h"

namespace hearth::models {

// y = sum over the chosen experts of share * expert(x), and the shared expert where there is one.
// `routed` is what the router reads, mostly x itself.
// x, y: [rows, dim]; y does not overlap x.  Every row is summed best expert first, whatever else is
// in the batch.  Source: Shazeer et al. 2017; Fedus et al. 2021.
void mix_experts(ops::Context& ctx, const Trunk& trunk, const Layer& layer, View x, View routed,
                 View y, Arena& arena);

}  // namespace hearth::models
