#include "ops/dequantise.h"

#include <fmt/core.h>

#include <array>
#include <cstring>
#include <utility>

#include "base/half.h"
#include "kernels/quants.h"

namespace hearth::ops {
namespace {

void copy_f32(const void* stored, float* out, std::size_t count) {
  if (count != 0) std::memcpy(out, stored, count * sizeof(float));
}

template <typename T, auto convert>
void each(const void* stored, float* out, std::size_t count) {
  const auto* from = static_cast<const std::byte*>(stored);
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, from + i * sizeof value, sizeof value);
    out[i] = convert(value);
  }
}

template <typename T>
float cast(T value) {
  return static_cast<float>(value);
}

template <typename T>
constexpr DequantiseRow numbers = each<T, cast<T>>;

struct Row {
  Dtype dtype;
  DequantiseRow dequantise;
};

using namespace hearth::kernels;
using enum Dtype;

// In the order of the enum.
constexpr std::array table = std::to_array<Row>({
    {f32, copy_f32},
    {f16, each<std::uint16_t, f16_to_f32>},
    {bf16, each<std::uint16_t, bf16_to_f32>},
    {f64, numbers<double>},
    {i8, numbers<std::int8_t>},
    {i16, numbers<std::int16_t>},
    {i32, numbers<std::int32_t>},
    {i64, numbers<std::int64_t>},
    {u8, numbers<std::uint8_t>},
    {u16, numbers<std::uint16_t>},
    {u32, numbers<std::uint32_t>},
    {u64, numbers<std::uint64_t>},
    {boolean, nullptr},
    {f8_e4m3, each<std::uint8_t, f8_e4m3_to_f32>},
    {f8_e5m2, each<std::uint8_t, f8_e5m2_to_f32>},
    {f8_e8m0, each<std::uint8_t, f8_e8m0_to_f32>},
    {q4_0, dequantise_q4_0},
    {q4_1, dequantise_q4_1},
    {q5_0, dequantise_q5_0},
    {q5_1, dequantise_q5_1},
    {q8_0, dequantise_q8_0},
    {q2_k, dequantise_q2_k},
    {q3_k, dequantise_q3_k},
    {q4_k, dequantise_q4_k},
    {q5_k, dequantise_q5_k},
    {q6_k, dequantise_q6_k},
    {iq1_s, dequantise_iq1_s},
    {iq1_m, dequantise_iq1_m},
    {iq2_xxs, dequantise_iq2_xxs},
    {iq2_xs, dequantise_iq2_xs},
    {iq2_s, dequantise_iq2_s},
    {iq3_xxs, dequantise_iq3_xxs},
    {iq3_s, dequantise_iq3_s},
    {iq4_nl, dequantise_iq4_nl},
    {iq4_xs, dequantise_iq4_xs},
    {tq1_0, dequantise_tq1_0},
    {tq2_0, dequantise_tq2_0},
    {mxfp4, dequantise_mxfp4},
    {nvfp4, dequantise_nvfp4},
    {q1_0, dequantise_q1_0},
    {q2_0, dequantise_q2_0},
});

consteval bool in_order() {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (static_cast<std::size_t>(table[i].dtype) != i) return false;
  return true;
}
static_assert(in_order());

}  // namespace

DequantiseRow dequantiser(Dtype dtype) { return table[std::to_underlying(dtype)].dequantise; }

Result<std::vector<float>> dequantise(Dtype dtype, std::span<const std::byte> stored,
                                      std::uint64_t elements) {
  const auto bytes = byte_size(dtype, elements);
  if (!bytes) return bytes.error();
  if (*bytes != stored.size())
    return Error(ErrorKind::corrupt, fmt::format("{} bytes for {} elements of {}, needs {}",
                                                 stored.size(), elements, name_of(dtype), *bytes));
  const DequantiseRow convert = dequantiser(dtype);
  if (!convert)
    return Error(ErrorKind::unsupported, fmt::format("{} holds no numbers", name_of(dtype)));
  std::vector<float> values(elements);
  convert(stored.data(), values.data(), values.size());
  return values;
}

}  // namespace hearth::ops
