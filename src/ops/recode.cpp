#include "ops/recode.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/half.h"
#include "ops/dequantise.h"

namespace hearth::ops {
namespace {

using u8 = std::uint8_t;

constexpr std::size_t block_columns = 256, groups = 16, group_columns = 16;
constexpr std::size_t q6_k_bytes = 210;
constexpr std::uint16_t half_of_one = 0x3C00;

using Scales = std::array<int, groups>;

// The low nibbles of the first bytes; minima are the high ones.
Scales scales_of_q2_k(const u8* block) {
  Scales scales;
  for (std::size_t g = 0; g < groups; ++g) scales[g] = block[g] & 15;
  return scales;
}

// Six bits each, 12 bytes from byte 96.
Scales scales_of_q3_k(const u8* block) {
  const u8* bytes = block + 96;
  Scales scales;
  for (std::size_t g = 0; g < groups; ++g) {
    const int low = g < 8 ? bytes[g] & 15 : bytes[g - 8] >> 4;
    const int high = bytes[8 + g % 4] >> (2 * (g / 4)) & 3;
    scales[g] = (low | high << 4) - 32;
  }
  return scales;
}

// 2 s + 1, s the topmost four bits of eight words from byte 66.
Scales scales_of_iq3_xxs(const u8* block) {
  Scales scales;
  for (std::size_t g = 0; g < groups; ++g) scales[g] = 2 * (block[66 + 4 * (g / 2) + 3] >> 4) + 1;
  return scales;
}

// The same of eight nibbles from byte 106.
Scales scales_of_iq3_s(const u8* block) {
  Scales scales;
  for (std::size_t g = 0; g < groups; ++g)
    scales[g] = 2 * (block[106 + g / 4] >> (4 * (g / 2 % 2)) & 15) + 1;
  return scales;
}

Scales no_scales(const u8*) {
  Scales scales;
  scales.fill(1);
  return scales;
}

// Codes, which are from -32 to 31, as Q6_K stores them.
void put_codes(u8* block, const int* codes) {
  std::fill_n(block, 192, u8{0});
  for (std::size_t i = 0; i < block_columns; ++i) {
    const unsigned code = static_cast<unsigned>(codes[i] + 32) & 63;
    const std::size_t half = i / 128, e = i % 128;
    block[64 * half + e % 64] |= static_cast<u8>((code & 15) << (e < 64 ? 0 : 4));
    block[128 + 32 * half + e % 32] |= static_cast<u8>(code >> 4 << (2 * (e / 32)));
  }
}

// Blocks of 16 groups, each of codes of six bits at most and a scale of eight, are blocks of q6_k.
// Their numbers are d * unit * scale * code: with d = 1 the dequantiser tells the codes.
template <Dtype dtype, std::size_t block_bytes, std::size_t d_offset,
          Scales (*scales_of)(const u8*)>
void to_q6_k(std::byte* out, float* minima, const std::byte* blocks, std::size_t count) {
  // A power of two, so that d times it is exact but for the smallest.
  constexpr float unit = dtype == Dtype::iq3_xxs ? 0.5f : 1;
  // Of codes that begin at 0, see centre_nibbles().
  constexpr int middle = dtype == Dtype::q2_k ? 2 : 0;
  const DequantiseRow dequantise_row = dequantiser(dtype);
  for (; count > 0; --count, blocks += block_bytes, out += q6_k_bytes) {
    u8 block[block_bytes];
    std::memcpy(block, blocks, block_bytes);
    std::uint16_t d;
    std::memcpy(&d, block + d_offset, sizeof d);
    std::memcpy(block + d_offset, &half_of_one, sizeof d);
    if constexpr (dtype == Dtype::q2_k) {
      std::uint16_t dmin;
      std::memcpy(&dmin, block + d_offset + 2, sizeof dmin);
      std::memset(block + d_offset + 2, 0, sizeof dmin);
      for (std::size_t g = 0; g < groups; ++g)
        *minima++ = static_cast<float>(middle * (block[g] & 15)) * f16_to_f32(d) -
                    static_cast<float>(block[g] >> 4) * f16_to_f32(dmin);
    }
    float products[block_columns];
    dequantise_row(block, products, block_columns);
    const Scales scales = scales_of(block);
    int codes[block_columns];
    for (std::size_t i = 0; i < block_columns; ++i) {
      const int scale = scales[i / group_columns];
      const float times = scale == 0 ? 0 : 1 / (unit * static_cast<float>(scale));
      const float code = products[i] * times;
      codes[i] = static_cast<int>(code + (code < 0 ? -0.5f : 0.5f)) - middle;
    }
    u8* made = reinterpret_cast<u8*>(out);
    put_codes(made, codes);
    for (std::size_t g = 0; g < groups; ++g) made[192 + g] = static_cast<u8>(scales[g]);
    d = f32_to_f16(unit * f16_to_f32(d));
    std::memcpy(made + 208, &d, sizeof d);
  }
}

// Moves the 32 codes of a block to the middle of their range, so that the rounding of activations
// weighs on differences and not on what all codes share.  Returns by how much; the levels of fewer
// bits lie at the low end.
int centre_nibbles(std::byte* bytes) {
  int least = 15, most = 0;
  for (std::size_t i = 0; i < 16; ++i)
    for (const int code :
         {std::to_integer<int>(bytes[i] & std::byte{15}), std::to_integer<int>(bytes[i] >> 4)}) {
      least = std::min(least, code);
      most = std::max(most, code);
    }
  const int shift = std::min(8 - (least + most + 1) / 2, 15 - most);
  if (shift <= 0) return 0;
  for (std::size_t i = 0; i < 16; ++i)
    bytes[i] = static_cast<std::byte>(std::to_integer<int>(bytes[i]) + shift * 0x11);
  return shift;
}

// Blocks of d, m and codes, scale * code + m, are blocks of d and the same codes, which count from
// `middle` there.
template <std::size_t from_bytes, int middle>
void without_minimum(std::byte* out, float* minima, const std::byte* blocks, std::size_t count) {
  constexpr std::size_t half = sizeof(std::uint16_t), to_bytes = from_bytes - half;
  for (; count > 0; --count, blocks += from_bytes, out += to_bytes) {
    std::uint16_t scale, minimum;
    std::memcpy(&scale, blocks, half);
    std::memcpy(&minimum, blocks + half, half);
    std::memcpy(out, &scale, half);
    std::memcpy(out + half, blocks + 2 * half, to_bytes - half);
    const int shift = middle == 8 ? centre_nibbles(out + half) : 0;
    *minima++ = f16_to_f32(minimum) + static_cast<float>(middle - shift) * f16_to_f32(scale);
  }
}

// To add a type: a row.
constexpr Recoding recodings[] = {
    {Dtype::q4_1, Dtype::q4_0, 32, without_minimum<20, 8>},
    {Dtype::q5_1, Dtype::q5_0, 32, without_minimum<24, 16>},
    {Dtype::q2_k, Dtype::q6_k, 16, to_q6_k<Dtype::q2_k, 84, 80, scales_of_q2_k>},
    {Dtype::q3_k, Dtype::q6_k, 0, to_q6_k<Dtype::q3_k, 110, 108, scales_of_q3_k>},
    {Dtype::iq3_xxs, Dtype::q6_k, 0, to_q6_k<Dtype::iq3_xxs, 98, 0, scales_of_iq3_xxs>},
    {Dtype::iq3_s, Dtype::q6_k, 0, to_q6_k<Dtype::iq3_s, 110, 0, scales_of_iq3_s>},
    {Dtype::tq1_0, Dtype::q6_k, 0, to_q6_k<Dtype::tq1_0, 54, 52, no_scales>},
    {Dtype::tq2_0, Dtype::q6_k, 0, to_q6_k<Dtype::tq2_0, 66, 64, no_scales>},
};

}  // namespace

const Recoding* recoding_of(Dtype dtype) {
  for (const Recoding& row : recodings)
    if (row.from == dtype) return &row;
  return nullptr;
}

}  // namespace hearth::ops
