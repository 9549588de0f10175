// Conversions between f32 and the small float types, bit-exact on every machine.
// Source: IEEE 754-2019, section 3.4 (f16); OCP 8-bit Floating Point Specification 1.0 (f8_e4m3,
// f8_e5m2); OCP Microscaling Formats 1.0, section 5.4.1 (e8m0).
#pragma once

#include <bit>
#include <cstdint>

namespace hearth {

// Exact; the payload of a NaN is kept.
inline float f16_to_f32(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16, rest = half & 0x7FFFu;
  if (rest >= 0x7C00)  // infinity, NaN
    return std::bit_cast<float>(sign | 0x7F800000u | (rest & 0x3FFu) << 13);
  if (rest >= 0x400) return std::bit_cast<float>(sign | ((rest << 13) + (112u << 23)));
  const float subnormal = static_cast<float>(rest) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(subnormal));
}

// To the nearest, ties to even; above 65519.99 infinity; NaN stays NaN.
inline std::uint16_t f32_to_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u, rest = bits & 0x7FFFFFFFu;
  std::uint32_t half;
  if (rest > 0x7F800000u)
    half = 0x7E00u | (rest >> 13 & 0x3FFu);
  else if (rest >= 0x477FF000u)
    half = 0x7C00u;
  else if (rest >= 0x38800000u)
    half = (rest - (112u << 23) + 0xFFFu + (rest >> 13 & 1u)) >> 13;
  else  // subnormal: 0.5 has the last place of one, so the addition rounds
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest) + 0.5f) - 0x3F000000u;
  return static_cast<std::uint16_t>(sign | half);
}

inline float bf16_to_f32(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// To the nearest, ties to even; NaN stays NaN.
inline std::uint16_t f32_to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

// Bias 7, no infinities; 0x7F and 0xFF are NaN.
inline float f8_e4m3_to_f32(std::uint8_t bits) {
  const std::uint32_t sign = (bits & 0x80u) << 24, rest = bits & 0x7Fu;
  if (rest == 0x7F) return std::bit_cast<float>(sign | 0x7FC00000u);
  if (rest >= 8) return std::bit_cast<float>(sign | ((rest << 20) + (120u << 23)));
  const float subnormal = static_cast<float>(rest) * 0x1p-9f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(subnormal));
}

// The upper byte of an f16.
inline float f8_e5m2_to_f32(std::uint8_t bits) {
  return f16_to_f32(static_cast<std::uint16_t>(bits << 8));
}

// 2^(bits - 127); 0xFF is NaN.
inline float f8_e8m0_to_f32(std::uint8_t bits) {
  if (bits == 0xFF) return std::bit_cast<float>(0x7FC00000u);
  return std::bit_cast<float>(bits == 0 ? 0x00400000u : static_cast<std::uint32_t>(bits) << 23);
}

}  // namespace hearth
