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

u32 load_lane(const u8* line, std::size_t row) {
  u32 lane;
  memcpy(&lane, line + 4 * row, 4);
  return lane;
}

void or_lane(u8* line, std::size_t row, u32 bits) {
  const u32 lane = load_lane(line, row) | bits;
  memcpy(line + 4 * row, &lane, 4);
}

// Low four bits at `group`, further bits at `group` + 256.
void put_codes(u8* group, std::size_t row, const Codes& codes, int high_bits) {
  for (std::size_t v = 0; v < 4; ++v)
    for (std::size_t j = 0; j < 8; ++j) {
      const u32 q = codes.q[nibble_column(v, j)];
      or_lane(group + 64 * v, row, (q & 15) << (4 * j));
      if (high_bits == 1) or_lane(group + 256, row, (q >> 4) << (8 * v + j));
      if (high_bits == 2)
        or_lane(group + 256 + 64 * (v / 2), row, (q >> 4) << (2 * (8 * (v % 2) + j)));
    }
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
  put_codes(unit, row, split_nibbles(block + 2), 0);
  put(unit + 256, row, block, 2);
}

void put_q5_0(u8* unit, std::size_t row, const u8* block) {
  Codes codes = split_nibbles(block + 6);
  u32 high;
  memcpy(&high, block + 2, 4);
  for (int i = 0; i < 32; ++i) codes.q[i] = static_cast<u8>(codes.q[i] | ((high >> i) & 1) << 4);
  put_codes(unit, row, codes, 1);
  put(unit + 320, row, block, 2);
}

void put_mxfp4(u8* unit, std::size_t row, const u8* block) {
  put_codes(unit, row, split_nibbles(block + 1), 0);
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
void put_affine_k(u8* unit, std::size_t row, const u8* block, bool fifth_bits) {
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
    put_codes(group, row, codes, fifth_bits ? 1 : 0);
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
    put_codes(group, row, codes, 2);
    put(group + 384, row, block + 192 + 2 * g, 1);
    put(group + 400, row, block + 193 + 2 * g, 1);
  }
}

// d, scales_h (2 bits each), scales_l[4] (4 bits each), qs[128].
void put_iq4_xs(u8* unit, std::size_t row, const u8* block) {
  put(unit, row, block, 2);
  for (int g = 0; g < 8; ++g) {
    u8* group = unit + 32 + 272 * static_cast<std::size_t>(g);
    put_codes(group, row, split_nibbles(block + 8 + 16 * g), 0);
    const int low = (block[4 + g / 2] >> (4 * (g % 2))) & 15;
    const int high = (block[2 + g / 4] >> (2 * (g % 4))) & 3;
    const auto scale = static_cast<std::int8_t>((low | high << 4) - 32);
    put(group + 256, row, &scale, 1);
  }
}

struct Source {
  std::size_t block_bytes;
  void (*put)(u8* unit, std::size_t row, const u8* block);
};

Source source_of(Panel kind) {
  switch (kind) {
    case Panel::f32:
      return {4, [](u8* unit, std::size_t row, const u8* x) { put(unit, row, x, 4); }};
    case Panel::f16:
      return {2, [](u8* unit, std::size_t row, const u8* x) { put(unit, row, x, 2); }};
    case Panel::bf16:
      return {4, [](u8* unit, std::size_t row, const u8* x) { put(unit, row, x, 4); }};
    case Panel::q8_0:
      return {34, put_q8_0};
    case Panel::q4_0:
    case Panel::iq4_nl:
      return {18, put_nibble_block};
    case Panel::q5_0:
      return {22, put_q5_0};
    case Panel::q4_k:
      return {144,
              [](u8* unit, std::size_t row, const u8* x) { put_affine_k(unit, row, x, false); }};
    case Panel::q5_k:
      return {176,
              [](u8* unit, std::size_t row, const u8* x) { put_affine_k(unit, row, x, true); }};
    case Panel::q6_k:
      return {210, put_q6_k};
    case Panel::iq4_xs:
      return {136, put_iq4_xs};
    case Panel::mxfp4:
      return {17, put_mxfp4};
  }
  return {0, nullptr};
}

}  // namespace

void pack_panel(Panel kind, void* panel, const void* stored, std::size_t row_bytes,
                std::size_t rows, std::size_t k) {
  const PanelShape shape = shape_of(kind);
  const Source source = source_of(kind);
  u8* unit = static_cast<u8*>(panel);
  memset(unit, 0, panel_bytes(kind, k));
  const std::size_t whole = k / shape.unit_columns;
  for (std::size_t i = 0; i < whole; ++i, unit += shape.unit_bytes)
    for (std::size_t row = 0; row < rows; ++row)
      source.put(unit, row,
                 static_cast<const u8*>(stored) + row * row_bytes + i * source.block_bytes);
  if (whole * shape.unit_columns == k) return;
  for (std::size_t row = 0; row < rows; ++row)  // bf16, the last of an odd number of columns
    memcpy(unit + 4 * row, static_cast<const u8*>(stored) + row * row_bytes + 4 * whole, 2);
}

}  // namespace hearth::kernels
