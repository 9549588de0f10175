// Packing of stored rows into panels.  Source of the file layouts: the GGUF tensor types.
#include "kernels/panels.h"

#include <string.h>

namespace hearth::kernels {
namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;

// One group of one row: codes of 0 to 63 (q8_0: bytes), and what is stored beside them.
struct Codes {
  u8 q[group_columns];
};

u32 load_u32(const u8* bytes) {
  u32 word;
  memcpy(&word, bytes, 4);
  return word;
}

void put_lane(u8* line, std::size_t row, u32 lane) { memcpy(line + 4 * row, &lane, 4); }

// Bit 0 of each byte to bits 0, 2, 4 and 6.
u32 gather_bits(u32 word) {
  const u32 near = word | word >> 6;
  return (near | near >> 12) & 0x55;
}

// Bits 0 and 1 of each byte to bits 0, 4, 8 and 12 and the next.
u32 gather_pairs(u32 word) {
  const u32 near = (word | word >> 4) & 0x00FF00FF;
  return (near | near >> 8) & 0xFFFF;
}

// Low four bits at `group`, further bits at `group` + 256.
template <int high_bits>
void put_codes(u8* group, std::size_t row, const Codes& codes) {
  u32 high[2] = {0, 0};
  for (std::size_t v = 0; v < 4; ++v) {
    const u32 first = load_u32(codes.q + 8 * v), second = load_u32(codes.q + 8 * v + 4);
    put_lane(group + 64 * v, row, (first & 0x0F0F0F0F) | (second & 0x0F0F0F0F) << 4);
    if (high_bits == 1)
      high[0] |= (gather_bits(first >> 4 & 0x01010101) | gather_bits(second >> 4 & 0x01010101) << 1)
                 << (8 * v);
    if (high_bits == 2)
      high[v / 2] |=
          (gather_pairs(first >> 4 & 0x03030303) | gather_pairs(second >> 4 & 0x03030303) << 2)
          << (16 * (v % 2));
  }
  for (std::size_t i = 0; i < high_bits; ++i) put_lane(group + 256 + 64 * i, row, high[i]);
}

// `size` bytes of row `row` in an array of 16.
void put(u8* array, std::size_t row, const void* value, std::size_t size) {
  memcpy(array + row * size, value, size);
}

// Element i of 32 is a low nibble, element i + 16 a high one.
Codes split_nibbles(const u8* bytes) {
  Codes codes;
  for (int i = 0; i < 16; ++i) {
    codes.q[i] = bytes[i] & 15;
    codes.q[i + 16] = bytes[i] >> 4;
  }
  return codes;
}

// Blocks of 32 with a half scale in front (q4_0, iq4_nl).
void put_nibble_block(u8* unit, std::size_t row, const u8* block) {
  put_codes<0>(unit, row, split_nibbles(block + 2));
  put(unit + 256, row, block, 2);
}

void put_q5_0(u8* unit, std::size_t row, const u8* block) {
  Codes codes = split_nibbles(block + 6);
  u32 high;
  memcpy(&high, block + 2, 4);
  for (int i = 0; i < 32; ++i) codes.q[i] = static_cast<u8>(codes.q[i] | ((high >> i) & 1) << 4);
  put_codes<1>(unit, row, codes);
  put(unit + 320, row, block, 2);
}

void put_mxfp4(u8* unit, std::size_t row, const u8* block) {
  put_codes<0>(unit, row, split_nibbles(block + 1));
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
    Codes codes;
    for (int i = 0; i < 32; ++i) {
      const int byte = qs[32 * (g / 2) + i];
      const int fifth = fifth_bits ? (qh[i] >> g) & 1 : 0;
      codes.q[i] = static_cast<u8>((g % 2 ? byte >> 4 : byte & 15) | fifth << 4);
    }
    u8* group = unit + 64 + group_bytes * static_cast<std::size_t>(g);
    put_codes<fifth_bits ? 1 : 0>(group, row, codes);
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
    Codes codes;
    for (int i = 0; i < 32; ++i) {
      const int low = g % 4 < 2 ? ql[i] & 15 : ql[i] >> 4;
      codes.q[i] = static_cast<u8>(low | ((qh[i] >> (2 * (g % 4))) & 3) << 4);
    }
    u8* group = unit + 32 + 416 * static_cast<std::size_t>(g);
    put_codes<2>(group, row, codes);
    put(group + 384, row, block + 192 + 2 * g, 1);
    put(group + 400, row, block + 193 + 2 * g, 1);
  }
}

// d, scales_h (2 bits each), scales_l[4] (4 bits each), qs[128].
void put_iq4_xs(u8* unit, std::size_t row, const u8* block) {
  put(unit, row, block, 2);
  for (int g = 0; g < 8; ++g) {
    u8* group = unit + 32 + 272 * static_cast<std::size_t>(g);
    put_codes<0>(group, row, split_nibbles(block + 8 + 16 * g));
    const int low = (block[4 + g / 2] >> (4 * (g % 2))) & 15;
    const int high = (block[2 + g / 4] >> (2 * (g % 4))) & 3;
    const auto scale = static_cast<std::int8_t>((low | high << 4) - 32);
    put(group + 256, row, &scale, 1);
  }
}

// Copies elements one by one: [rows][k] to [k / together][16][together].
template <typename T, std::size_t together>
void put_floats(void* panel, const void* stored, std::size_t row_bytes, std::size_t rows,
                std::size_t k) {
  u8* out = static_cast<u8*>(panel);
  for (std::size_t row = 0; row < rows; ++row) {
    const u8* from = static_cast<const u8*>(stored) + row * row_bytes;
    for (std::size_t i = 0; i < k; ++i)
      memcpy(out + ((i / together * panel_rows + row) * together + i % together) * sizeof(T),
             from + i * sizeof(T), sizeof(T));
  }
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
  if (rows < panel_rows || k % 2 != 0) memset(panel, 0, panel_bytes(kind, k));
  const auto blocks = [=](PutBlock put_block, std::size_t block_bytes) {
    put_blocks(put_block, block_bytes, kind, panel, stored, row_bytes, rows, k);
  };
  switch (kind) {
    case Panel::f32:
      return put_floats<u32, 1>(panel, stored, row_bytes, rows, k);
    case Panel::f16:
      return put_floats<u16, 1>(panel, stored, row_bytes, rows, k);
    case Panel::bf16:
      return put_floats<u16, 2>(panel, stored, row_bytes, rows, k);
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
  }
}

}  // namespace hearth::kernels
