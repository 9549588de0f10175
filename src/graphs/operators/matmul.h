// MatMul over batches of matrices of any number type.
#pragma once

#include "graphs/call.h"

namespace hearth::graphs {

// The shapes of a product.  Source: numpy.matmul, which ONNX MatMul follows.
struct MatMulShape {
  Dims batch;  // broadcast
  Dims a_batch, b_batch;
  std::int64_t m = 1, n = 1, k = 1;
  Dims result;
};
Result<MatMulShape> matmul_shape(const Dims& a, const Dims& b);
// For each product of the batch, run(index of a's matrix, of b's, of the result's).
void each_product(const MatMulShape& shape,
                  const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& run);
Result<Tensor> matmul(Call& call, const Tensor& a, const Tensor& b);

}  // namespace hearth::graphs
