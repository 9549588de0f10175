// Panels: how weights lie in memory for the kernels.  One layout for every instruction set.
//
// A panel is 16 rows of a weight matrix (16 outputs) over all of its columns (k).  Whatever the
// type, the 16 rows of one k lie together, so that a vector register holds one k of several rows.
// Rows past the end of the matrix are zero.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::kernels {

constexpr std::size_t panel_rows = 16;
constexpr std::size_t group_columns = 32;   // one scale, in the types that have scales
constexpr std::size_t super_columns = 256;  // one scale of scales, in the `_k` types

// The 4-bit part of a group: 4 lines of 64 bytes.  Line v, 32-bit lane n (row n), nibble j (bits
// 4j to 4j + 3) is column 8v + j / 2 + 4 (j % 2) of the group: byte b of the lane holds columns
// 8v + b (low) and 8v + 4 + b (high).
static constexpr std::size_t nibble_column(std::size_t v, std::size_t j) {
  return 8 * v + j / 2 + 4 * (j % 2);
}

// h: IEEE half [16], one number per row.  c, s, m: one byte per row [16].
enum class Panel : std::uint8_t {
  f32,     // [k][16] f32
  f16,     // [k][16] half
  bf16,    // [ceil(k / 2)][16][2] bf16: pairs of columns; an odd last one is paired with zero
  q8_0,    // group: 8 lines (line v, lane n, byte b: column 4v + b), h scale.  544 bytes
  q4_0,    // group: nibbles, h scale; w = scale * (q - 8).  288 bytes
  iq4_nl,  // as q4_0 with w = scale * table[q]
  q5_0,    // group: nibbles, fifth bits, h scale; w = scale * (q - 16).  352 bytes
  q4_k,    // super: h d, h dmin, 8 groups of {nibbles, s, m}; w = d s q - dmin m.  2368 bytes
  q5_k,    // super: h d, h dmin, 8 groups of {nibbles, fifth bits, s, m}.  2880 bytes
  q6_k,    // super: h d, 8 groups of {nibbles, 2 lines of high bits, 2 x signed s (per 16
           // columns)}; w = d s (q - 32).  3360 bytes
  iq4_xs,  // super: h d, 8 groups of {nibbles, signed s}; w = d s table[q].  2208 bytes
  mxfp4,   // group: nibbles, c exponents; w = 2^(c - 128) * table[q] (the table is doubled). 272
  grid,    // super: h d, 8 groups of {nibbles, 2 x signed s (per 16 columns)};
           // w = d s table[q] / 8.  2336 bytes
};
constexpr std::size_t panel_kinds = 13;

// Fifth bits: one line; lane n, bit 8v + j belongs to nibble j of line v.
// High bits of q6_k: line h, lane n, bits 2 (8 (v % 2) + j) and the next belong to nibble j of line
// v = 2h + v % 2.
constexpr std::int8_t iq4_table[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                       1,    13,   25,  38,  53,  69,  89,  113};
// The levels of code books of two bits and fewer, eightfold.
constexpr std::int8_t grid_table[16] = {0, 1, -1, 7, -7, 8, -8, 9, -9, 25, -25, 43, -43, 0, 0, 0};
constexpr std::int8_t e2m1_table[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Where the parts of a kind lie.  A panel is `supers` runs of: head, then its groups.
struct PanelShape {
  std::uint32_t unit_columns;  // columns of one run: k is a multiple of it
  std::uint32_t unit_bytes;    // bytes of one run
  std::uint32_t head_bytes;    // before the first group
  std::uint32_t group_bytes;   // 0: no groups
};
static constexpr PanelShape shape_of(Panel kind) {
  constexpr PanelShape shapes[panel_kinds] = {
      {1, 64, 0, 0},        {1, 32, 0, 0},        {2, 64, 0, 0},        {32, 544, 0, 544},
      {32, 288, 0, 288},    {32, 288, 0, 288},    {32, 352, 0, 352},    {256, 2368, 64, 288},
      {256, 2880, 64, 352}, {256, 3360, 32, 416}, {256, 2208, 32, 272}, {32, 272, 0, 272},
      {256, 2336, 32, 288},
  };
  return shapes[static_cast<std::size_t>(kind)];
}

// Weights in groups with scales, not floats one by one.
static constexpr bool has_groups(Panel kind) { return shape_of(kind).group_bytes != 0; }

static constexpr std::uint32_t kind_bit(Panel kind) {
  return 1u << static_cast<std::uint32_t>(kind);
}
constexpr std::uint32_t float_kinds =
    kind_bit(Panel::f32) | kind_bit(Panel::f16) | kind_bit(Panel::bf16);
constexpr std::uint32_t group_kinds = ((1u << panel_kinds) - 1) & ~float_kinds;

// Bytes of one panel of k columns.
static constexpr std::size_t panel_bytes(Panel kind, std::size_t k) {
  const PanelShape shape = shape_of(kind);
  return (k + shape.unit_columns - 1) / shape.unit_columns * shape.unit_bytes;
}

// One block of what `grid` is packed from: places in grid_table, element i of 32 in the low nibble
// of byte i of 16, element i + 16 in the high one.
struct GridBlock {
  std::uint8_t codes[super_columns / 2];
  std::int8_t scales[super_columns / 16];
  std::uint16_t d;  // half
};
static_assert(sizeof(GridBlock) == 146);

// Builds a panel from `rows` (1 to 16) stored rows of k columns, `row_bytes` apart, in the file
// layout of the same name (GGUF tensor types; blocks of `grid` are GridBlock).  Plain code, the
// same for all instruction sets.
void pack_panel(Panel kind, void* panel, const void* stored, std::size_t row_bytes,
                std::size_t rows, std::size_t k);

}  // namespace hearth::kernels
