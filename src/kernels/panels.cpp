// Packing of stored rows into panels.  Source of the file layouts: the GGUF tensor types.
#include "kernels/panels.h"

#include <string.h>

#include "kernels/pack.h"

namespace hearth::kernels {
namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;

using u64 = std::uint64_t;

constexpr u64 nibbles = 0x0F0F0F0F0F0F0F0F, pairs = 0x0303030303030303, ones = 0x0101010101010101;

u32 load_u32(const u8* bytes) {
  u32 word;
  memcpy(&word, bytes, 4);
  return word;
}

// The bytes of eight columns, the first at the bottom.
u64 load_eight(const u8* bytes) {
  u64 word;
  memcpy(&word, bytes, 8);
  return word;
}

void put_lane(u8* line, std::size_t row, u32 lane) { memcpy(line + 4 * row, &lane, 4); }

// Bits 0 to 3 of eight columns, the other bits being zero, into line v of a group.
void put_nibbles(u8* group, std::size_t v, std::size_t row, u64 eight) {
  put_lane(group + 64 * v, row, static_cast<u32>(eight) | static_cast<u32>(eight >> 32) << 4);
}

// Bit 0 of eight columns as a byte of fifth bits: columns 0 to 3 to the even bits, 4 to 7 to the
// odd ones.  No two bits of the product fall on the same place.
u32 gather_bits(u64 eight) {
  constexpr u64 to_the_top = u64{1} << 56 | u64{1} << 50 | u64{1} << 44 | u64{1} << 38 |
                             u64{1} << 25 | u64{1} << 19 | u64{1} << 13 | u64{1} << 7;
  return static_cast<u32>((eight & ones) * to_the_top >> 56);
}

// Each byte of eight bits, one for each column, to a byte of fifth bits.
u32 spread_bits(u32 bytes) {
  const auto to_even = [](u32 four) {
    four = (four | four << 2) & 0x33333333;
    return (four | four << 1) & 0x55555555;
  };
  return to_even(bytes & 0x0F0F0F0F) | to_even(bytes >> 4 & 0x0F0F0F0F) << 1;
}

// Bits 0 and 1 of eight columns as half a lane of high bits.
u32 gather_pairs(u64 eight) {
  const u32 fours = static_cast<u32>(eight & pairs) | static_cast<u32>(eight >> 32 & pairs) << 2;
  const u32 near = (fours | fours >> 4) & 0x00FF00FF;
  return (near | near >> 8) & 0xFFFF;
}

// `size` bytes of row `row` in an array of 16.
void put(u8* array, std::size_t row, const void* value, std::size_t size) {
  memcpy(array + row * size, value, size);
}

// Element i of 32 is a low nibble, element i + 16 a high one.
void put_split_nibbles(u8* group, std::size_t row, const u8* bytes) {
  for (std::size_t v = 0; v < 2; ++v) {
    const u64 eight = load_eight(bytes + 8 * v);
    put_nibbles(group, v, row, eight & nibbles);
    put_nibbles(group, v + 2, row, eight >> 4 & nibbles);
  }
}

// Blocks of 32 with a half scale in front (q4_0, iq4_nl).
void put_nibble_block(u8* unit, std::size_t row, const u8* block) {
  put_split_nibbles(unit, row, block + 2);
  put(unit + 256, row, block, 2);
}

void put_q5_0(u8* unit, std::size_t row, const u8* block) {
  put_split_nibbles(unit, row, block + 6);
  put_lane(unit + 256, row, spread_bits(load_u32(block + 2)));
  put(unit + 320, row, block, 2);
}

void put_mxfp4(u8* unit, std::size_t row, const u8* block) {
  put_split_nibbles(unit, row, block + 1);
  put(unit + 256, row, block, 1);
}

void put_q8_0(u8* unit, std::size_t row, const u8* block) {
  for (std::size_t v = 0; v < 8; ++v) memcpy(unit + 64 * v + 4 * row, block + 2 + 4 * v, 4);
  put(unit + 512, row, block, 2);
}

// Eight scales and minima of six bits in twelve bytes.
struct SixBits {
  u8 scale, minimum;
};
SixBits six_bits(const u8* packed, int group) {
  const int g = group;
  if (g < 4) return {static_cast<u8>(packed[g] & 63), static_cast<u8>(packed[g + 4] & 63)};
  return {static_cast<u8>((packed[g + 4] & 15) | (packed[g - 4] >> 6) << 4),
          static_cast<u8>((packed[g + 4] >> 4) | (packed[g] >> 6) << 4)};
}

// q4_k and q5_k: d, dmin, scales[12], (qh[32]), qs[128].  Groups 2i and 2i + 1 share 32 bytes.
template <bool fifth_bits>
void put_affine_k(u8* unit, std::size_t row, const u8* block) {
  const u8* qh = block + 16;
  const u8* qs = fifth_bits ? qh + 32 : qh;
  const std::size_t group_bytes = fifth_bits ? 352 : 288;
  put(unit, row, block, 2);
  put(unit + 32, row, block + 2, 2);
  for (int g = 0; g < 8; ++g) {
    u8* group = unit + 64 + group_bytes * static_cast<std::size_t>(g);
    u32 fifth = 0;
    for (std::size_t v = 0; v < 4; ++v) {
      const u64 eight = load_eight(qs + 32 * (g / 2) + 8 * v);
      put_nibbles(group, v, row, eight >> (4 * (g % 2)) & nibbles);
      if (fifth_bits) fifth |= gather_bits(load_eight(qh + 8 * v) >> g) << (8 * v);
    }
    if (fifth_bits) put_lane(group + 256, row, fifth);
    const SixBits factors = six_bits(block + 4, g);
    put(group + group_bytes - 32, row, &factors.scale, 1);
    put(group + group_bytes - 16, row, &factors.minimum, 1);
  }
}

// ql[128], qh[64], scales[16], d.  Each half of the block holds four groups.
void put_q6_k(u8* unit, std::size_t row, const u8* block) {
  put(unit, row, block + 208, 2);
  for (int g = 0; g < 8; ++g) {
    const u8* ql = block + 64 * (g / 4) + 32 * (g % 2);
    const u8* qh = block + 128 + 32 * (g / 4);
    u8* group = unit + 32 + 416 * static_cast<std::size_t>(g);
    u32 high[2] = {0, 0};
    for (std::size_t v = 0; v < 4; ++v) {
      const int low_bit = g % 4 < 2 ? 0 : 4, high_bit = 2 * (g % 4);
      put_nibbles(group, v, row, load_eight(ql + 8 * v) >> low_bit & nibbles);
      high[v / 2] |= gather_pairs(load_eight(qh + 8 * v) >> high_bit) << (16 * (v % 2));
    }
    for (std::size_t i = 0; i < 2; ++i) put_lane(group + 256 + 64 * i, row, high[i]);
    put(group + 384, row, block + 192 + 2 * g, 1);
    put(group + 400, row, block + 193 + 2 * g, 1);
  }
}

// d, scales_h (2 bits each), scales_l[4] (4 bits each), qs[128].
void put_iq4_xs(u8* unit, std::size_t row, const u8* block) {
  put(unit, row, block, 2);
  for (int g = 0; g < 8; ++g) {
    u8* group = unit + 32 + 272 * static_cast<std::size_t>(g);
    put_split_nibbles(group, row, block + 8 + 16 * g);
    const int low = (block[4 + g / 2] >> (4 * (g % 2))) & 15;
    const int high = (block[2 + g / 4] >> (2 * (g % 4))) & 3;
    const auto scale = static_cast<std::int8_t>((low | high << 4) - 32);
    put(group + 256, row, &scale, 1);
  }
}

void put_grid(u8* unit, std::size_t row, const u8* block) {
  put(unit, row, block + 144, 2);
  for (std::size_t g = 0; g < 8; ++g) {
    u8* group = unit + 32 + 288 * g;
    put_split_nibbles(group, row, block + 16 * g);
    put(group + 256, row, block + 128 + 2 * g, 1);
    put(group + 272, row, block + 129 + 2 * g, 1);
  }
}

// Copies elements one by one: [rows][k] to [k][16].  By stretches of columns whose lines stay near.
template <typename T>
void put_floats(void* panel, const void* stored, std::size_t row_bytes, std::size_t rows,
                std::size_t k) {
  constexpr std::size_t stretch = 64;
  u8* out = static_cast<u8*>(panel);
  for (std::size_t first = 0; first < k; first += stretch) {
    const std::size_t end = first + stretch < k ? first + stretch : k;
    for (std::size_t row = 0; row < rows; ++row) {
      const u8* from = static_cast<const u8*>(stored) + row * row_bytes;
      for (std::size_t i = first; i < end; ++i)
        memcpy(out + (i * panel_rows + row) * sizeof(T), from + i * sizeof(T), sizeof(T));
    }
  }
}

// Two columns at a time; an odd last one is paired with the zero that the panel holds already.
void put_pairs(void* panel, const void* stored, std::size_t row_bytes, std::size_t rows,
               std::size_t k) {
  put_floats<u32>(panel, stored, row_bytes, rows, k / 2);
  if (k % 2 == 0) return;
  for (std::size_t row = 0; row < rows; ++row)
    memcpy(static_cast<u8*>(panel) + (k / 2 * panel_rows + row) * sizeof(u32),
           static_cast<const u8*>(stored) + row * row_bytes + (k - 1) * sizeof(u16), sizeof(u16));
}

// A block of the file's layout into one unit.
using PutBlock = void (*)(u8* unit, std::size_t row, const u8* block);

void put_blocks(PutBlock put_block, std::size_t block_bytes, Panel kind, void* panel,
                const void* stored, std::size_t row_bytes, std::size_t rows, std::size_t k) {
  const PanelShape shape = shape_of(kind);
  u8* unit = static_cast<u8*>(panel);
  for (std::size_t i = 0; i < k / shape.unit_columns; ++i, unit += shape.unit_bytes)
    for (std::size_t row = 0; row < rows; ++row)
      put_block(unit, row, static_cast<const u8*>(stored) + row * row_bytes + i * block_bytes);
}

}  // namespace

void pack_panel(Panel kind, void* panel, const void* stored, std::size_t row_bytes,
                std::size_t rows, std::size_t k) {
  if (rows == panel_rows)
    pack_sixteen(kind, panel, stored, row_bytes, k);
  else
    pack_rows(kind, panel, stored, row_bytes, rows, k);
}

void pack_rows(Panel kind, void* panel, const void* stored, std::size_t row_bytes, std::size_t rows,
               std::size_t k) {
  if (rows < panel_rows || k % 2 != 0) memset(panel, 0, panel_bytes(kind, k));
  const auto blocks = [=](PutBlock put_block, std::size_t block_bytes) {
    put_blocks(put_block, block_bytes, kind, panel, stored, row_bytes, rows, k);
  };
  switch (kind) {
    case Panel::f32:
      return put_floats<u32>(panel, stored, row_bytes, rows, k);
    case Panel::f16:
      return put_floats<u16>(panel, stored, row_bytes, rows, k);
    case Panel::bf16:
      return put_pairs(panel, stored, row_bytes, rows, k);
    case Panel::q8_0:
      return blocks(put_q8_0, 34);
    case Panel::q4_0:
    case Panel::iq4_nl:
      return blocks(put_nibble_block, 18);
    case Panel::q5_0:
      return blocks(put_q5_0, 22);
    case Panel::q4_k:
      return blocks(put_affine_k<false>, 144);
    case Panel::q5_k:
      return blocks(put_affine_k<true>, 176);
    case Panel::q6_k:
      return blocks(put_q6_k, 210);
    case Panel::iq4_xs:
      return blocks(put_iq4_xs, 136);
    case Panel::mxfp4:
      return blocks(put_mxfp4, 17);
    case Panel::grid:
      return blocks(put_grid, sizeof(GridBlock));
  }
}

}  // namespace hearth::kernels
