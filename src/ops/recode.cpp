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

// 2 s + 1, s the topmost four bits of eight words from byte 2 + 4, eight bytes apart.
Scales scales_of_iq2_xxs(const u8* block) {
  Scales scales;
  for (std::size_t g = 0; g < groups; ++g) scales[g] = 2 * (block[2 + 8 * (g / 2) + 7] >> 4) + 1;
  return scales;
}

// The same of 16 nibbles from a byte on.
template <std::size_t offset>
Scales scales_of_nibbles(const u8* block) {
  Scales scales;
  for (std::size_t g = 0; g < groups; ++g)
    scales[g] = 2 * (block[offset + g / 2] >> (4 * (g % 2)) & 15) + 1;
  return scales;
}

// The same of bits 12 to 14 of eight words from byte 34.
Scales scales_of_iq1_s(const u8* block) {
  Scales scales;
  for (std::size_t g = 0; g < groups; ++g)
    scales[g] = 2 * (block[34 + 2 * (g / 2) + 1] >> 4 & 7) + 1;
  return scales;
}

// The same of three bits each, four in each of four words from byte 48.
Scales scales_of_iq1_m(const u8* block) {
  Scales scales;
  for (std::size_t g = 0; g < groups; ++g) {
    const int word = block[48 + 2 * (g / 4)] | block[49 + 2 * (g / 4)] << 8;
    scales[g] = 2 * (word >> (3 * (g % 4)) & 7) + 1;
  }
  return scales;
}

std::uint16_t first_half(u8* block) {
  std::uint16_t d;
  std::memcpy(&d, block, sizeof d);
  std::memcpy(block, &half_of_one, sizeof d);
  return d;
}

// In the top nibbles of four words from byte 48.
std::uint16_t scattered_half(u8* block) {
  std::uint16_t d = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    u8& byte = block[49 + 2 * i];
    d = static_cast<std::uint16_t>(d | (byte >> 4) << (4 * i));
    byte = static_cast<u8>((byte & 15) | (half_of_one >> (4 * i) & 15) << 4);
  }
  return d;
}

// Code books of few levels, by their places in a table.  Numbers are d / 8 * scale * level: with d
// made 1 the dequantiser tells the levels.
template <Dtype dtype, std::size_t block_bytes, std::uint16_t (*take_d)(u8*),
          Scales (*scales_of)(const u8*)>
void to_grid(std::byte* out, float*, const std::byte* blocks, std::size_t count) {
  std::array<u8, 256> places{};
  for (u8 i = 0; i < 16; ++i)
    if (kernels::grid_table[i] != 0) places[static_cast<u8>(kernels::grid_table[i])] = i;
  const DequantiseRow dequantise_row = dequantiser(dtype);
  for (; count > 0; --count, blocks += block_bytes, out += sizeof(kernels::GridBlock)) {
    u8 block[block_bytes];
    std::memcpy(block, blocks, block_bytes);
    kernels::GridBlock made{};
    made.d = take_d(block);
    const Scales scales = scales_of(block);
    for (std::size_t g = 0; g < groups; ++g) made.scales[g] = static_cast<std::int8_t>(scales[g]);
    float products[block_columns];
    dequantise_row(block, products, block_columns);
    for (std::size_t i = 0; i < block_columns; ++i) {
      const float level = 8 * products[i] / static_cast<float>(scales[i / group_columns]);
      const int whole = static_cast<int>(level + (level < 0 ? -0.5f : 0.5f));
      const int place = places[static_cast<u8>(whole)];
      made.codes[i / 32 * 16 + i % 16] |= static_cast<u8>(i % 32 < 16 ? place : place << 4);
    }
    std::memcpy(out, &made, sizeof made);
  }
}

using kernels::GridBlock;
using kernels::Panel;

// To add a type: a row.
constexpr Recoding recodings[] = {
    {Dtype::q4_1, Panel::q4_0, 18, 32, without_minimum<20, 8>},
    {Dtype::q5_1, Panel::q5_0, 22, 32, without_minimum<24, 16>},
    {Dtype::q2_k, Panel::q6_k, q6_k_bytes, 16, to_q6_k<Dtype::q2_k, 84, 80, scales_of_q2_k>},
    {Dtype::q3_k, Panel::q6_k, q6_k_bytes, 0, to_q6_k<Dtype::q3_k, 110, 108, scales_of_q3_k>},
    {Dtype::iq3_xxs, Panel::q6_k, q6_k_bytes, 0, to_q6_k<Dtype::iq3_xxs, 98, 0, scales_of_iq3_xxs>},
    {Dtype::iq3_s, Panel::q6_k, q6_k_bytes, 0, to_q6_k<Dtype::iq3_s, 110, 0, scales_of_iq3_s>},
    {Dtype::tq1_0, Panel::q6_k, q6_k_bytes, 0, to_q6_k<Dtype::tq1_0, 54, 52, no_scales>},
    {Dtype::tq2_0, Panel::q6_k, q6_k_bytes, 0, to_q6_k<Dtype::tq2_0, 66, 64, no_scales>},
    {Dtype::iq2_xxs, Panel::grid, sizeof(GridBlock), 0,
     to_grid<Dtype::iq2_xxs, 66, first_half, scales_of_iq2_xxs>},
    {Dtype::iq2_xs, Panel::grid, sizeof(GridBlock), 0,
     to_grid<Dtype::iq2_xs, 74, first_half, scales_of_nibbles<66>>},
    {Dtype::iq2_s, Panel::grid, sizeof(GridBlock), 0,
     to_grid<Dtype::iq2_s, 82, first_half, scales_of_nibbles<74>>},
    {Dtype::iq1_s, Panel::grid, sizeof(GridBlock), 0,
     to_grid<Dtype::iq1_s, 50, first_half, scales_of_iq1_s>},
    {Dtype::iq1_m, Panel::grid, sizeof(GridBlock), 0,
     to_grid<Dtype::iq1_m, 56, scattered_half, scales_of_iq1_m>},
};

}  // namespace

const Recoding* recoding_of(Dtype dtype) {
  for (const Recoding& row : recodings)
    if (row.from == dtype) return &row;
  return nullptr;
}

double growth_of(Dtype dtype) {
  const Recoding* recoding = recoding_of(dtype);
  if (recoding == nullptr) return 1;
  constexpr std::size_t columns = kernels::super_columns;
  const std::size_t minima = recoding->group_columns > 0 ? columns / recoding->group_columns : 0;
  const auto made = static_cast<double>(kernels::panel_bytes(recoding->panel, columns)) /
                        static_cast<double>(kernels::panel_rows) +
                    static_cast<double>(minima * sizeof(float));
  const DtypeInfo& stored = info(dtype);
  return made * static_cast<double>(stored.block_elements) /
         static_cast<double>(columns * stored.block_bytes);
}

}  // namespace hearth::ops
