// How a model's authors want it sampled.
#pragma once

#include "formats/package.h"
#include "runtime/sampling.h"

namespace hearth {

// Values out of range are passed over: a recommendation is no order.
SamplingOptions recommended_sampling(const Package& package);

}  // namespace hearth
