// Packing of sixteen stored rows at once, by turning squares of four by four words.  Vectors of 16
// bytes, which every processor has: memory is slower than this already.
#include <string.h>

#include "kernels/pack.h"

namespace hearth::kernels {
namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;

typedef u32 Words __attribute__((vector_size(16)));
typedef u8 Octets __attribute__((vector_size(16)));

constexpr u32 low_nibbles = 0x0F0F0F0F, high_nibbles = 0xF0F0F0F0, pairs = 0x03030303,
              ones = 0x01010101;

// A 32-bit lane of each of the 16 rows.
struct Line {
  Words quarter[4];
};

template <typename F>
inline Line each(F function) {
  Line line;
  for (int i = 0; i < 4; ++i) line.quarter[i] = function(i);
  return line;
}
inline Line operator&(const Line& a, u32 mask) {
  return each([&](int i) { return a.quarter[i] & mask; });
}
inline Line operator|(const Line& a, const Line& b) {
  return each([&](int i) { return a.quarter[i] | b.quarter[i]; });
}
inline Line operator^(const Line& a, u32 mask) {
  return each([&](int i) { return a.quarter[i] ^ mask; });
}
inline Line operator<<(const Line& a, int bits) {
  return each([&](int i) { return a.quarter[i] << bits; });
}
inline Line operator>>(const Line& a, int bits) {
  return each([&](int i) { return a.quarter[i] >> bits; });
}

inline void store(u8* to, const Line& line) { memcpy(to, &line, sizeof line); }

// Where the same block of each row is.
struct Rows {
  const u8* first;
  std::size_t row_bytes;

  const u8* operator[](std::size_t row) const { return first + row * row_bytes; }
  Rows at(std::size_t offset) const { return {first + offset, row_bytes}; }
};

// 16 bytes of each row: the first word of every row, the second, and so on.
struct FourLines {
  Line line[4];
};
inline FourLines load_four(Rows rows) {
  FourLines four;
  for (std::size_t i = 0; i < 4; ++i) {
    Words a, b, c, d;
    memcpy(&a, rows[4 * i], 16);
    memcpy(&b, rows[4 * i + 1], 16);
    memcpy(&c, rows[4 * i + 2], 16);
    memcpy(&d, rows[4 * i + 3], 16);
    const Words ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    const Words ab_after = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const Words cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const Words cd_after = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    four.line[0].quarter[i] = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    four.line[1].quarter[i] = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    four.line[2].quarter[i] = __builtin_shufflevector(ab_after, cd_after, 0, 1, 4, 5);
    four.line[3].quarter[i] = __builtin_shufflevector(ab_after, cd_after, 2, 3, 6, 7);
  }
  return four;
}

// `size` bytes of each row, one after the other.
template <std::size_t size>
inline void put_column(u8* to, Rows rows) {
  for (std::size_t row = 0; row < panel_rows; ++row) memcpy(to + size * row, rows[row], size);
}

// Byte b of every lane to the 16 bytes at to + b * step.  The bytes are 16 lanes by 4; interleaving
// their halves moves the topmost bit of a byte's index to the bottom, and four times makes it 4 by
// 16.
inline void put_bytes(u8* to, std::size_t step, const Line& line) {
  Octets bytes[4];
  memcpy(bytes, &line, sizeof bytes);
  for (int round = 0; round < 4; ++round) {
    Octets turned[4];
    for (int i = 0; i < 2; ++i) {
      turned[2 * i] = __builtin_shufflevector(bytes[i], bytes[i + 2], 0, 16, 1, 17, 2, 18, 3, 19, 4,
                                              20, 5, 21, 6, 22, 7, 23);
      turned[2 * i + 1] = __builtin_shufflevector(bytes[i], bytes[i + 2], 8, 24, 9, 25, 10, 26, 11,
                                                  27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    memcpy(bytes, turned, sizeof bytes);
  }
  for (std::size_t b = 0; b < 4; ++b) memcpy(to + b * step, &bytes[b], 16);
}

// Low or high nibbles of columns 0 to 3 and 4 to 7 as one line of a group.
inline Line low_line(const Line& near, const Line& far) {
  return (near & low_nibbles) | ((far & low_nibbles) << 4);
}
inline Line high_line(const Line& near, const Line& far) {
  return ((near >> 4) & low_nibbles) | (far & high_nibbles);
}

// Element i of 32 is a low nibble, element i + 16 a high one.
void put_split_nibbles(u8* group, Rows rows) {
  const FourLines four = load_four(rows);
  for (std::size_t v = 0; v < 2; ++v) {
    const Line &near = four.line[2 * v], &far = four.line[2 * v + 1];
    store(group + 64 * v, low_line(near, far));
    store(group + 64 * (v + 2), high_line(near, far));
  }
}

void nibble_block(u8* unit, Rows rows) {
  put_split_nibbles(unit, rows.at(2));
  put_column<2>(unit + 256, rows);
}

void mxfp4(u8* unit, Rows rows) {
  put_split_nibbles(unit, rows.at(1));
  put_column<1>(unit + 256, rows);
}

// Bits 0 to 3 of each byte of `nibbles` at the even places of a byte.
inline Line to_even(Line nibbles) {
  nibbles = (nibbles | (nibbles << 2)) & 0x33333333;
  return (nibbles | (nibbles << 1)) & 0x55555555;
}

void q5_0(u8* unit, Rows rows) {
  put_split_nibbles(unit, rows.at(6));
  const Line fifth = load_four(rows.at(2)).line[0];
  store(unit + 256, to_even(fifth & low_nibbles) | (to_even((fifth >> 4) & low_nibbles) << 1));
  put_column<2>(unit + 320, rows);
}

void q8_0(u8* unit, Rows rows) {
  for (std::size_t half = 0; half < 2; ++half) {
    const FourLines four = load_four(rows.at(2 + 16 * half));
    memcpy(unit + 256 * half, &four, sizeof four);
  }
  put_column<2>(unit + 512, rows);
}

// Bit 0 of each byte of columns 0 to 3 to the even bits of the lowest byte, of columns 4 to 7 to
// the odd ones.
inline Line gather_bits(const Line& near, const Line& far) {
  const Line two = (near & ones) | ((far & ones) << 1);
  return (two | (two >> 6) | (two >> 12) | (two >> 18)) & 0xFF;
}

// Bits 0 and 1 of each byte of columns 0 to 3 to bits 0, 1, 4, 5 and so on, those of columns 4 to 7
// between them.
inline Line gather_pairs(const Line& near, const Line& far) {
  const Line fours = (near & pairs) | ((far & pairs) << 2);
  const Line closer = (fours | (fours >> 4)) & 0x00FF00FF;
  return (closer | (closer >> 8)) & 0xFFFF;
}

template <std::size_t fours>
struct Lines {
  Line line[4 * fours];
  explicit Lines(Rows rows) {
    for (std::size_t i = 0; i < fours; ++i) {
      const FourLines four = load_four(rows.at(16 * i));
      memcpy(line + 4 * i, &four, sizeof four);
    }
  }
};

// q4_k and q5_k: d, dmin, scales[12], (qh[32]), qs[128].  Groups 2i and 2i + 1 share 32 bytes.
template <bool fifth_bits>
void affine_k(u8* unit, Rows rows) {
  constexpr std::size_t group_bytes = fifth_bits ? 352 : 288;
  put_column<2>(unit, rows);
  put_column<2>(unit + 32, rows.at(2));
  // Six bits each: those of groups 0 to 3 are whole, the others have their two high bits there.
  const FourLines head = load_four(rows);
  const Line &scales = head.line[1], &minima = head.line[2], &rest = head.line[3];
  u8* factors = unit + 64 + group_bytes - 32;
  put_bytes(factors, group_bytes, scales & 0x3F3F3F3F);
  put_bytes(factors + 16, group_bytes, minima & 0x3F3F3F3F);
  put_bytes(factors + 4 * group_bytes, group_bytes,
            (rest & low_nibbles) | (((scales >> 6) & pairs) << 4));
  put_bytes(factors + 4 * group_bytes + 16, group_bytes,
            ((rest >> 4) & low_nibbles) | (((minima >> 6) & pairs) << 4));
  const Rows qs = rows.at(fifth_bits ? 48 : 16);
  for (std::size_t two = 0; two < 4; ++two) {
    const Lines<2> columns(qs.at(32 * two));
    u8* group = unit + 64 + 2 * two * group_bytes;
    for (std::size_t v = 0; v < 4; ++v) {
      const Line &near = columns.line[2 * v], &far = columns.line[2 * v + 1];
      store(group + 64 * v, low_line(near, far));
      store(group + group_bytes + 64 * v, high_line(near, far));
    }
  }
  if constexpr (fifth_bits) {
    const Lines<2> qh(rows.at(16));
    for (int g = 0; g < 8; ++g) {
      Line fifth{};
      for (int v = 0; v < 4; ++v)
        fifth = fifth | (gather_bits(qh.line[2 * v] >> g, qh.line[2 * v + 1] >> g) << (8 * v));
      store(unit + 64 + group_bytes * static_cast<std::size_t>(g) + 256, fifth);
    }
  }
}

// Two bytes of every group, [2][16] at `places`, `apart` from one another.
void put_pairs_of_scales(u8* places, std::size_t apart, Rows bytes) {
  const FourLines scales = load_four(bytes);
  for (std::size_t two = 0; two < 4; ++two) {
    u8 columns[4][16];
    put_bytes(columns[0], 16, scales.line[two]);
    memcpy(places + 2 * two * apart, columns[0], 32);
    memcpy(places + (2 * two + 1) * apart, columns[2], 32);
  }
}

// codes[128], scales[16], d.
void grid(u8* unit, Rows rows) {
  constexpr std::size_t group_bytes = 288;
  put_column<2>(unit, rows.at(144));
  put_pairs_of_scales(unit + 32 + 256, group_bytes, rows.at(128));
  for (std::size_t g = 0; g < 8; ++g)
    put_split_nibbles(unit + 32 + g * group_bytes, rows.at(16 * g));
}

// ql[128], qh[64], scales[16], d.  Each half of the block holds four groups.
void q6_k(u8* unit, Rows rows) {
  constexpr std::size_t group_bytes = 416;
  put_column<2>(unit, rows.at(208));
  u8* groups = unit + 32;
  put_pairs_of_scales(groups + 384, group_bytes, rows.at(192));
  for (std::size_t half = 0; half < 2; ++half) {
    const Lines<2> high(rows.at(128 + 32 * half));
    for (std::size_t i = 0; i < 4; ++i) {
      const Lines<2> low(rows.at(64 * half + 32 * (i % 2)));
      u8* group = groups + (4 * half + i) * group_bytes;
      Line pair[4];
      for (std::size_t v = 0; v < 4; ++v) {
        const Line &near = low.line[2 * v], &far = low.line[2 * v + 1];
        store(group + 64 * v, i < 2 ? low_line(near, far) : high_line(near, far));
        const int bits = static_cast<int>(2 * i);
        pair[v] = gather_pairs(high.line[2 * v] >> bits, high.line[2 * v + 1] >> bits);
      }
      store(group + 256, pair[0] | (pair[1] << 16));
      store(group + 320, pair[2] | (pair[3] << 16));
    }
  }
}

// d, scales_h (2 bits each), scales_l[4] (4 bits each), qs[128].
void iq4_xs(u8* unit, Rows rows) {
  constexpr std::size_t group_bytes = 272;
  put_column<2>(unit, rows);
  const FourLines head = load_four(rows);
  // Of groups 0, 2, 4, 6, then of 1, 3, 5, 7.
  for (std::size_t odd = 0; odd < 2; ++odd) {
    const Line high = head.line[0] >> (odd ? 18 : 16);
    const Line spread =
        (high & 3) | ((high << 4) & 0x300) | ((high << 8) & 0x30000) | ((high << 12) & 0x3000000);
    const Line low = (head.line[1] >> (odd ? 4 : 0)) & low_nibbles;
    // Less 32, as signed bytes: the sixth bit turned is the sign.
    const Line turned = (low | (spread << 4)) ^ 0x20202020;
    const Line sign = turned & 0x20202020;
    put_bytes(unit + 32 + odd * group_bytes + 256, 2 * group_bytes,
              turned | (sign << 1) | (sign << 2));
  }
  for (std::size_t g = 0; g < 8; ++g)
    put_split_nibbles(unit + 32 + g * group_bytes, rows.at(8 + 16 * g));
}

// Words of each row to lines, as many as there are whole fours of.
std::size_t put_words(u8* panel, Rows rows, std::size_t words) {
  std::size_t done = 0;
  for (; done + 4 <= words; done += 4) {
    const FourLines four = load_four(rows.at(4 * done));
    memcpy(panel + 64 * done, &four, sizeof four);
  }
  return done;
}

// Halves of each row to half lines: a line of words is two of them.
std::size_t put_halves(u8* panel, Rows rows, std::size_t k) {
  std::size_t done = 0;
  for (; done + 8 <= k; done += 8) {
    const FourLines four = load_four(rows.at(2 * done));
    for (std::size_t i = 0; i < 4; ++i) {
      u32 lanes[panel_rows];
      store(reinterpret_cast<u8*>(lanes), four.line[i]);
      u16 columns[2][panel_rows];
      for (std::size_t row = 0; row < panel_rows; ++row) {
        columns[0][row] = static_cast<u16>(lanes[row]);
        columns[1][row] = static_cast<u16>(lanes[row] >> 16);
      }
      memcpy(panel + 32 * (done + 2 * i), columns, sizeof columns);
    }
  }
  return done;
}

void pack_floats(Panel kind, u8* panel, Rows rows, std::size_t k) {
  const std::size_t bytes = kind == Panel::f32 ? 4 : 2;
  const std::size_t done = kind == Panel::f32    ? put_words(panel, rows, k)
                           : kind == Panel::bf16 ? 2 * put_words(panel, rows, k / 2)
                                                 : put_halves(panel, rows, k);
  if (done < k)
    pack_rows(kind, panel + done * panel_rows * bytes, rows.first + done * bytes, rows.row_bytes,
              panel_rows, k - done);
}

using PackBlocks = void (*)(u8* unit, Rows rows);

void pack_blocks(PackBlocks pack, std::size_t block_bytes, Panel kind, u8* panel, Rows rows,
                 std::size_t k) {
  const PanelShape shape = shape_of(kind);
  for (std::size_t i = 0; i < k / shape.unit_columns; ++i)
    pack(panel + i * shape.unit_bytes, rows.at(i * block_bytes));
}

}  // namespace

void pack_sixteen(Panel kind, void* panel, const void* stored, std::size_t row_bytes,
                  std::size_t k) {
  u8* out = static_cast<u8*>(panel);
  const Rows rows{static_cast<const u8*>(stored), row_bytes};
  const auto blocks = [&](PackBlocks pack, std::size_t block_bytes) {
    pack_blocks(pack, block_bytes, kind, out, rows, k);
  };
  switch (kind) {
    case Panel::f32:
    case Panel::f16:
    case Panel::bf16:
      return pack_floats(kind, out, rows, k);
    case Panel::q8_0:
      return blocks(q8_0, 34);
    case Panel::q4_0:
    case Panel::iq4_nl:
      return blocks(nibble_block, 18);
    case Panel::q5_0:
      return blocks(q5_0, 22);
    case Panel::q4_k:
      return blocks(affine_k<false>, 144);
    case Panel::q5_k:
      return blocks(affine_k<true>, 176);
    case Panel::q6_k:
      return blocks(q6_k, 210);
    case Panel::iq4_xs:
      return blocks(iq4_xs, 136);
    case Panel::mxfp4:
      return blocks(mxfp4, 17);
    case Panel::grid:
      return blocks(grid, sizeof(GridBlock));
  }
}

}  // namespace hearth::kernels
