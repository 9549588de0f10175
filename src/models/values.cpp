#include "models/values.h"

#include <fmt/core.h>

#include <bit>
#include <cmath>
#include <cstring>

namespace hearth::models {
namespace {

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// `count` elements from `from`; `dtype` is a float.
void convert(Dtype dtype, const std::byte* from, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    switch (dtype) {
      case Dtype::f32:
        out[i] = load<float>(from + 4 * i);
        break;
      case Dtype::f64:
        out[i] = static_cast<float>(load<double>(from + 8 * i));
        break;
      case Dtype::f16:
        out[i] = half_to_float(load<std::uint16_t>(from + 2 * i));
        break;
      default:
        out[i] = std::bit_cast<float>(std::uint32_t{load<std::uint16_t>(from + 2 * i)} << 16);
    }
  }
}

}  // namespace

// Source: IEEE 754-2008, binary16.
float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const int exponent = (half >> 10) & 31;
  const std::uint32_t fraction = half & 0x3FFu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | fraction << 13);
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | static_cast<std::uint32_t>(exponent + 112) << 23 |
                              fraction << 13);
}

bool is_float(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f16 || dtype == Dtype::bf16 || dtype == Dtype::f64;
}

Result<std::vector<float>> read_floats(const TensorEntry& entry) {
  if (!is_float(entry.dtype))
    return Error(ErrorKind::unsupported, fmt::format("{} is stored as {}: needs f32, f16 or bf16",
                                                     entry.name, name_of(entry.dtype)));
  std::vector<float> values(entry.elements());
  if (entry.make) {
    const auto made = TRY(entry.make());
    convert(entry.dtype, made.data(), values.size(), values.data());
  } else {
    convert(entry.dtype, entry.data.data(), values.size(), values.data());
  }
  return values;
}

void read_row(ops::Context& ctx, const ops::StoredMatrix& matrix, std::size_t index, float* out) {
  if (is_float(matrix.dtype)) {
    const std::size_t bytes = info(matrix.dtype).block_bytes * matrix.columns;
    convert(matrix.dtype, matrix.data.data() + index * bytes, matrix.columns, out);
    return;
  }
  const std::int32_t ids[] = {static_cast<std::int32_t>(index)};
  ops::gather_rows(ctx, View(out, 1, matrix.columns), matrix, ids);
}

}  // namespace hearth::models
