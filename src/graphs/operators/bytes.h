// Convolutions and products of 8-bit numbers with constant weights, in whole numbers.
#pragma once

#include "graphs/operators/tiles.h"

namespace hearth::graphs {

// hearth.QConv: inputs as QLinearConv has them; weights, scales and zero points are constant, the
// bias whole or real; low and high bound the real result.
Status q_conv(Call& call);
// hearth.QMatMul: inputs as QLinearMatMul has them and a bias (whole or real); b: constant [k, n],
// or [n, k] with transB.  Bounds as above.
Status q_matmul(Call& call);
// hearth.MatMulInteger: inputs as MatMulInteger has them; b and its zero point are constant.
Status integer_matmul(Call& call);

// Weights less their zero points fit 8 bits.  zeros: null, one, or one per place along `axis`.
bool are_bytes(const Tensor& w, const Tensor* zeros, std::size_t axis);

}  // namespace hearth::graphs
