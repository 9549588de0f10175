// Copies of elements of any type from place to place.
#pragma once

#include "graphs/call.h"

namespace hearth::graphs {

// y[i] = the element of x at first + the sum of index * stride, over all indices of y.  Strides
// count elements and may be 0 or negative.  x and y are of one type; all places lie in x.
void copy_strided(Call& call, Tensor& y, const Tensor& x, std::int64_t first, const Dims& strides);
// n elements of `size` bytes, `from_step` and `to_step` elements apart.
void copy_elements(std::byte* to, std::int64_t to_step, const std::byte* from,
                   std::int64_t from_step, std::int64_t n, std::size_t size);
// Every element of y is the one at `value`.
void fill(Tensor& y, const std::byte* value);
void fill_zero(Tensor& y);  // of text: empty strings

Result<Tensor> transposed(Call& call, const Tensor& x, std::span<const std::size_t> order);
Result<Tensor> expanded(Call& call, const Tensor& x, const Dims& dims);
// A part [begin, begin + size) along one axis, as a tensor of its own.
Result<Tensor> part(Call& call, const Tensor& x, std::size_t axis, std::int64_t begin,
                    std::int64_t size);
Result<Tensor> joined(Call& call, std::span<const Tensor* const> parts, std::size_t axis);
// To another type as Cast does it.
Result<Tensor> cast(Call& call, const Tensor& x, Element to,
                    Overflow overflow = Overflow::saturate);

// Axes from input `index` or, where that is absent, from the attribute.
Result<std::vector<std::int64_t>> axes_of(Call& call, std::size_t index);

}  // namespace hearth::graphs
