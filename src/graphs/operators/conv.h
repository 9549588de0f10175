// Convolutions.
#pragma once

#include "graphs/operators/windows.h"

namespace hearth::graphs {

struct ConvShape {
  std::int64_t batch, channels, groups, filters;
  Windows windows;
  Dims result;
};
// x: [batch, channels, spatial...], w: [filters, channels / groups, kernel...].
Result<ConvShape> conv_shape(Call& call, const Dims& x, const Dims& w);

// y = conv(x, w) + bias; bias may be null.  All f32, in order of the shapes above.
void conv_f32(Machine& machine, const ConvShape& shape, float* y, const float* x, const float* w,
              const float* bias);

// Sums of products of whole numbers, each less its zero point.  w_zeros: none, one, or one per
// filter.
Result<std::vector<std::int64_t>> conv_whole(Call& call, const ConvShape& shape, const Tensor& x,
                                             const Tensor& w, std::int64_t x_zero,
                                             const std::vector<std::int64_t>& w_zeros);

}  // namespace hearth::graphs
