// Dense heads of sentence-transformers: what a pooled vector goes through before it is an
// embedding.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "formats/huggingface.h"
#include "formats/package.h"

namespace hearth::models {

struct DenseHead {
  std::size_t rows = 0, columns = 0;
  std::vector<float> weights, bias;  // [rows][columns]; [rows] or empty
  bool tanh = false;                 // behind it
};

// Those that modules.json names, in order; the first reads `dim` numbers.  Errors: corrupt (a file
// or tensor is missing or has another shape), unsupported (another activation).
Result<std::vector<DenseHead>> read_dense_heads(const Package& package, std::size_t dim);
// vector = f(weights vector + bias), one head after the other.
void apply_dense_heads(std::span<const DenseHead> heads, std::vector<float>& vector);

}  // namespace hearth::models
