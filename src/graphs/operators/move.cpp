#include "graphs/operators/move.h"

#include <algorithm>
#include <array>

#include "graphs/walk.h"

namespace hearth::graphs {
namespace {

constexpr std::int64_t grain = 32768;

template <typename T>
void copy_steps(std::byte* to, std::int64_t to_step, const std::byte* from, std::int64_t from_step,
                std::int64_t n) {
  const T* x = reinterpret_cast<const T*>(from);
  T* y = reinterpret_cast<T*>(to);
  for (std::int64_t i = 0; i < n; ++i) y[i * to_step] = x[i * from_step];
}

}  // namespace

void copy_elements(std::byte* to, std::int64_t to_step, const std::byte* from,
                   std::int64_t from_step, std::int64_t n, std::size_t size) {
  if (n == 0) return;
  if (to_step == 1 && from_step == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(n) * size);
    return;
  }
  switch (size) {
    case 1:
      return copy_steps<std::uint8_t>(to, to_step, from, from_step, n);
    case 2:
      return copy_steps<std::uint16_t>(to, to_step, from, from_step, n);
    case 4:
      return copy_steps<std::uint32_t>(to, to_step, from, from_step, n);
    case 8:
      return copy_steps<std::uint64_t>(to, to_step, from, from_step, n);
    default:
      for (std::int64_t i = 0; i < n; ++i)
        std::memcpy(to + i * to_step * static_cast<std::int64_t>(size),
                    from + i * from_step * static_cast<std::int64_t>(size), size);
  }
}

void copy_strided(Call& call, Tensor& y, const Tensor& x, std::int64_t first, const Dims& strides) {
  if (x.type == Element::text && x.strings) y.strings = x.strings;
  const auto size = static_cast<std::int64_t>(size_of(y.type));
  const Walk walk(y.dims, std::span<const Dims>(&strides, 1));
  parallel(call.machine, y.count, grain, [&](std::int64_t begin, std::int64_t end) {
    walk.each(begin, end, [&](std::int64_t place, const auto& at, std::int64_t n) {
      copy_elements(y.bytes + place * size, 1, x.bytes + (first + at[0]) * size, walk.step(0), n,
                    static_cast<std::size_t>(size));
    });
  });
}

void fill(Tensor& y, const std::byte* value) {
  copy_elements(y.bytes, 1, value, 0, y.count, size_of(y.type));
}

void fill_zero(Tensor& y) {
  if (y.type != Element::text) std::memset(y.bytes, 0, y.byte_count());
}

Result<Tensor> transposed(Call& call, const Tensor& x, std::span<const std::size_t> order) {
  const Dims from = strides_of(x.dims);
  Dims dims, strides;
  for (const std::size_t axis : order) {
    dims.push_back(x.dims[axis]);
    strides.push_back(from[axis]);
  }
  Tensor y = TRY(call.scratch(x.type, std::move(dims)));
  copy_strided(call, y, x, 0, strides);
  return y;
}

Result<Tensor> expanded(Call& call, const Tensor& x, const Dims& dims) {
  if (dims.size() < x.rank())
    return invalid(fmt::format("shape {} to {}: fewer axes", to_text(x.dims), to_text(dims)));
  const Dims from = strides_of(x.dims);
  Dims strides(dims.size(), 0);
  const std::size_t lead = dims.size() - x.rank();
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (x.dims[i] == dims[lead + i])
      strides[lead + i] = from[i];
    else if (x.dims[i] != 1)
      return invalid(fmt::format("shape {} does not expand to {}", to_text(x.dims), to_text(dims)));
  }
  Tensor y = TRY(call.scratch(x.type, dims));
  copy_strided(call, y, x, 0, strides);
  return y;
}

Result<Tensor> part(Call& call, const Tensor& x, std::size_t axis, std::int64_t begin,
                    std::int64_t size) {
  if (begin < 0 || size < 0 || begin + size > x.dims[axis])
    return invalid(
        fmt::format("[{}, {}) along axis {} of {}", begin, begin + size, axis, to_text(x.dims)));
  Dims dims = x.dims;
  dims[axis] = size;
  const Dims strides = strides_of(x.dims);
  Tensor y = TRY(call.scratch(x.type, std::move(dims)));
  copy_strided(call, y, x, begin * strides[axis], strides);
  return y;
}

Result<Tensor> joined(Call& call, std::span<const Tensor* const> parts, std::size_t axis) {
  Dims dims = parts[0]->dims;
  dims[axis] = 0;
  for (const Tensor* next : parts) {
    if (next->type != parts[0]->type)
      return invalid(
          fmt::format("parts of {} and {}", name_of(parts[0]->type), name_of(next->type)));
    bool fits = next->rank() == dims.size();
    for (std::size_t i = 0; fits && i < dims.size(); ++i)
      fits = i == axis || next->dims[i] == dims[i];
    if (!fits)
      return invalid(fmt::format("parts of {} and {} along axis {}", to_text(parts[0]->dims),
                                 to_text(next->dims), axis));
    dims[axis] += next->dims[axis];
  }
  Tensor y = TRY(call.scratch(parts[0]->type, dims));
  const auto size = static_cast<std::int64_t>(size_of(y.type));
  const std::int64_t outer = product(std::span(dims).first(axis));
  const std::int64_t inner = product(std::span(dims).subspan(axis + 1)) * size;
  const std::int64_t row = dims[axis] * inner;
  std::int64_t at = 0;
  for (const Tensor* next : parts) {
    const std::int64_t length = next->dims[axis] * inner;
    for (std::int64_t i = 0; i < outer; ++i)
      if (length > 0)
        std::memcpy(y.bytes + i * row + at, next->bytes + i * length,
                    static_cast<std::size_t>(length));
    at += length;
    if (next->type == Element::text && next->strings) y.strings = next->strings;
  }
  return y;
}

Result<std::vector<std::int64_t>> axes_of(Call& call, std::size_t index) {
  if (call.has(index)) return call.integers(index);
  return call.list("axes");
}

}  // namespace hearth::graphs
