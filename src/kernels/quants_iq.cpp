// Dequantisation of the types whose levels come from code books of 4 or 8 coordinates.
// Offsets in a block are written as numbers; the layout is named above each function.
#include <array>

#include "kernels/quants.h"
#include "kernels/quants_blocks.h"

namespace hearth::kernels {
namespace {

#include "kernels/quants_grids.inc"

using u8 = std::uint8_t;
using u32 = std::uint32_t;

template <std::size_t entries, std::size_t width>
using Grid = std::array<std::array<std::int8_t, width>, entries>;

// Coordinate i of an entry is the level numbered by bits [bits i, bits (i + 1)) of its code.
template <std::size_t width, std::size_t entries, std::size_t count>
constexpr Grid<entries, width> expand(const std::uint16_t (&codes)[entries],
                                      const std::int8_t (&levels)[count]) {
  constexpr std::size_t bits = 16 / width == 4 ? 3 : 2;
  Grid<entries, width> grid{};
  for (std::size_t e = 0; e < entries; ++e)
    for (std::size_t i = 0; i < width; ++i)
      grid[e][i] = levels[codes[e] >> (bits * i) & ((1u << bits) - 1)];
  return grid;
}

constexpr std::int8_t iq1_levels[] = {-1, 0, 1};
constexpr std::int8_t iq2_levels[] = {8, 25, 43};
constexpr std::int8_t iq3_xxs_levels[] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr std::int8_t iq3_s_levels[] = {1, 3, 5, 7, 9, 11, 13, 15};

constexpr auto iq1_s_grid = expand<8>(iq1_s_codes, iq1_levels);
constexpr auto iq2_xxs_grid = expand<8>(iq2_xxs_codes, iq2_levels);
constexpr auto iq2_xs_grid = expand<8>(iq2_xs_codes, iq2_levels);
constexpr auto iq2_s_grid = expand<8>(iq2_s_codes, iq2_levels);
constexpr auto iq3_xxs_grid = expand<4>(iq3_xxs_codes, iq3_xxs_levels);
constexpr auto iq3_s_grid = expand<4>(iq3_s_codes, iq3_s_levels);

// Eight signs from seven bits: the eighth makes the number of minuses even.
inline const float* even_signs(u32 bits) {
  bits &= 127;
  u32 parity = bits ^ bits >> 4;
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return signs_of.rows[bits | (parity & 1) << 7];
}

// y[i] = scale * entry[i] * signs[i]
template <std::size_t width>
inline void put(float* y, float scale, const std::array<std::int8_t, width>& entry,
                const float* signs) {
  for (std::size_t i = 0; i < width; ++i) y[i] = scale * static_cast<float>(entry[i]) * signs[i];
}

// y[i] = scale * (entry[i] + delta)
inline void put_shifted(float* y, float scale, const std::array<std::int8_t, 8>& entry,
                        float delta) {
  for (std::size_t i = 0; i < 8; ++i) y[i] = scale * (static_cast<float>(entry[i]) + delta);
}

inline float half_step(float d, u32 code, float step) {
  return d * (0.5f + static_cast<float>(code)) * step;
}

inline float delta_of(bool negative) { return negative ? -0.125f : 0.125f; }

}  // namespace

// d f16, then for each 32 elements: 4 entry bytes, u32 of 4 x 7 sign bits and a 4-bit scale.
void dequantise_iq2_xxs(const void* blocks, float* out, std::size_t n) {
  each_block<256, 66>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block);
    for (std::size_t g = 0; g < 8; ++g) {
      const u8* entries = block + 2 + 8 * g;
      const u32 word = load_u32(entries + 4);
      const float scale = half_step(d, word >> 28, 0.25f);
      for (std::size_t i = 0; i < 4; ++i, y += 8)
        put(y, scale, iq2_xxs_grid[entries[i]], even_signs(word >> (7 * i)));
    }
  });
}

// d f16, 32 x u16 {entry 9 bits, signs 7}, 16 scale nibbles.
void dequantise_iq2_xs(const void* blocks, float* out, std::size_t n) {
  each_block<256, 74>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block);
    for (std::size_t e = 0; e < 32; ++e, y += 8) {
      const u32 code = load_u16(block + 2 + 2 * e);
      const float scale = half_step(d, nibble(block + 66, e / 2), 0.25f);
      put(y, scale, iq2_xs_grid[code & 511], even_signs(code >> 9));
    }
  });
}

// d f16, 32 entry bytes, 32 sign bytes, 8 bytes of high entry pairs, 16 scale nibbles.
void dequantise_iq2_s(const void* blocks, float* out, std::size_t n) {
  each_block<256, 82>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block);
    for (std::size_t e = 0; e < 32; ++e, y += 8) {
      const u32 high = block[66 + e / 4] >> (2 * (e % 4)) & 3u;
      const float scale = half_step(d, nibble(block + 74, e / 2), 0.25f);
      put(y, scale, iq2_s_grid[block[2 + e] | high << 8], signs_of.rows[block[34 + e]]);
    }
  });
}

// d f16, 64 entry bytes, then for each 32 elements a u32 of 4 x 7 sign bits and a 4-bit scale.
void dequantise_iq3_xxs(const void* blocks, float* out, std::size_t n) {
  each_block<256, 98>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block);
    for (std::size_t g = 0; g < 8; ++g) {
      const u8* entries = block + 2 + 8 * g;
      const u32 word = load_u32(block + 66 + 4 * g);
      const float scale = half_step(d, word >> 28, 0.5f);
      for (std::size_t i = 0; i < 4; ++i, y += 8) {
        const float* signs = even_signs(word >> (7 * i));
        put(y, scale, iq3_xxs_grid[entries[2 * i]], signs);
        put(y + 4, scale, iq3_xxs_grid[entries[2 * i + 1]], signs + 4);
      }
    }
  });
}

// d f16, 64 entry bytes, 64 high entry bits, 32 sign bytes, 8 scale nibbles.
void dequantise_iq3_s(const void* blocks, float* out, std::size_t n) {
  each_block<256, 110>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block);
    for (std::size_t e = 0; e < 64; ++e, y += 4) {
      const u32 high = block[66 + e / 8] >> (e % 8) & 1u;
      const float scale = d * static_cast<float>(1 + 2 * nibble(block + 106, e / 8));
      put(y, scale, iq3_s_grid[block[2 + e] | high << 8],
          signs_of.rows[block[74 + e / 2]] + 4 * (e % 2));
    }
  });
}

// d f16, 32 entry bytes, then for each 32 elements a u16 of 4 x 3 high entry bits, a 3-bit scale
// and the sign of the shift.
void dequantise_iq1_s(const void* blocks, float* out, std::size_t n) {
  each_block<256, 50>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block);
    for (std::size_t g = 0; g < 8; ++g) {
      const u32 word = load_u16(block + 34 + 2 * g);
      const float scale = d * static_cast<float>(2 * (word >> 12 & 7) + 1);
      for (std::size_t i = 0; i < 4; ++i, y += 8)
        put_shifted(y, scale, iq1_s_grid[block[2 + 4 * g + i] | (word >> (3 * i) & 7) << 8],
                    delta_of(word >> 15));
    }
  });
}

// 32 entry bytes, 32 nibbles {3 high entry bits, sign of the shift}, 4 x u16 of 4 x 3-bit scales
// and, in the top nibbles, the f16 d.
void dequantise_iq1_m(const void* blocks, float* out, std::size_t n) {
  each_block<256, 56>(blocks, out, n, [](const u8* block, float* y) {
    u32 half = 0;
    for (std::size_t i = 0; i < 4; ++i) half |= load_u16(block + 48 + 2 * i) >> 12 << (4 * i);
    const float d = f16_to_f32(static_cast<std::uint16_t>(half));
    for (std::size_t e = 0; e < 32; ++e, y += 8) {
      const u32 code = load_u16(block + 48 + 2 * (e / 8)) >> (3 * (e / 2 % 4)) & 7;
      const float scale = d * static_cast<float>(2 * code + 1);
      const u32 high = nibble(block + 32, e);
      put_shifted(y, scale, iq1_s_grid[block[e] | (high & 7) << 8], delta_of(high & 8));
    }
  });
}

}  // namespace hearth::kernels
