// Values: stored elements as floats, without the help of kernels.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "formats/package.h"
#include "ops/matrix.h"

namespace hearth::models {

float half_to_float(std::uint16_t half);
bool is_float(Dtype dtype);  // f32, f16, bf16, f64

// All of a small tensor.  Errors: unsupported (no float type).
Result<std::vector<float>> read_floats(const TensorEntry& entry);

// Row `index` of a matrix; out: [columns].  Types that are not plain floats go through ops.
void read_row(ops::Context& ctx, const ops::StoredMatrix& matrix, std::size_t index, float* out);

}  // namespace hearth::models
