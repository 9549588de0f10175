// Gates that mostly pass as zero.
#pragma once

#include "ops/context.h"
#include "tensor/view.h"

namespace hearth::models {

// x = max(x - (mean + deviations * standard deviation), 0), per row.  Source: the Gemma 3n model
// card, "activation sparsity".
void cut_gates(ops::Context& ctx, View x, float deviations);

// How many deviations above its mean this share of a normal distribution ends; share 0: -inf.
double normal_quantile(double share);

}  // namespace hearth::models
