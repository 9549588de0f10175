// What follows a product, done while its result is in the cache: bounds, or a curve.
#pragma once

#include <limits>

#include "graphs/call.h"

namespace hearth::graphs {

struct Finish {
  enum class Curve { none, silu, gelu, gelu_tanh, sigmoid, tanh, hard_swish, hard_sigmoid, leaky };
  float low = -std::numeric_limits<float>::infinity(),
        high = std::numeric_limits<float>::infinity();
  Curve curve = Curve::none;
  float alpha = 0, beta = 0;  // of hard_sigmoid and leaky
};

// From the attributes low, high, curve, alpha and beta of a fused operator.
Finish finish_of(const Call& call);
// The bounds alone.
void bound(const Finish& finish, float* x, std::int64_t n);
// The curve alone.
void bend(const Machine& machine, const Finish& finish, float* x, std::int64_t n);

// The operator `node` as a finish: its attributes are added to `fused`.  constant: the tensor of an
// input that is known, else null.  False: it is none.
bool take_finish(const Node& node, const std::function<const Tensor*(std::size_t)>& constant,
                 Node& fused);

}  // namespace hearth::graphs
