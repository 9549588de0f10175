// Sparse constants of TFLite.
#pragma once

#include "graphs/tflite/builder.h"

namespace hearth::graphs::tflite {

// All elements of a tensor of which the file holds those that are not zero, and where they stand.
// Errors: corrupt, unsupported (elements of less than a byte, text).
Result<Tensor> read_sparse(const TensorInfo& info, const FlatTable& sparsity,
                           std::span<const std::byte> data);

}  // namespace hearth::graphs::tflite
