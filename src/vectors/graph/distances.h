// Distances from one query to vectors gathered by number.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/search.h"
#include "kernels/steps.h"
#include "vectors/index.h"

namespace hearth::vectors {

struct Distances {
  // Of codes in steps; see kernels/steps.h.
  decltype(kernels::StepKernels::squares_at) codes;
  // Squared distances or products of rows; see kernels/search.h.
  void (*rows)(float* out, const float* query, const void* rows, std::size_t stride,
               const std::uint32_t* ids, std::size_t n, std::size_t dim);
};

// cosine: rows have length one; products.  inner_product: products.
Distances distances_for(Metric metric, kernels::RowType rows);

// What Hit::distance is, from what `rows` gave.
inline float distance_of(Metric metric, float value) {
  return metric == Metric::l2 ? value : metric == Metric::cosine ? 1 - value : -value;
}

}  // namespace hearth::vectors
