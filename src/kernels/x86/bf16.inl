// Products of bf16 tiles with sums in f32.  Included after codes.inl, for 16 lanes.
// Before it the includer defines what tiles are, as amx.cpp does: struct Tiles, open_tiles,
// load_tile, add_tile_products, store_tile, close_tiles.  Source: Intel SDM, TDPBF16PS.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t tile_side = 16;     // rows of A and C, columns of C
constexpr std::size_t tile_columns = 32;  // bf16 in one row of A: 64 bytes
constexpr std::size_t tile_bytes = 1024;

// To the nearest bf16, ties away from zero; the result is in the upper half of each lane.
inline Bits round_to_upper(Vec x) {
  return _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
}

// Lanes of pairs: `even` in the lower half, `odd` in the upper one.
inline Bits pairs_of(Vec even, Vec odd) {
  return _mm512_mask_blend_epi16(0xAAAAAAAA, _mm512_srli_epi32(round_to_upper(even), 16),
                                 round_to_upper(odd));
}

// A: [tiles of 16 rows][steps of 32 columns][16][32], zeros where there is nothing.
void pack_bf16(void* a, const float* x, std::size_t ldx, std::size_t m, std::size_t k) {
  u8* out = static_cast<u8*>(a);
  const std::size_t steps = (k + tile_columns - 1) / tile_columns;
  for (std::size_t first = 0; first < m; first += tile_side)
    for (std::size_t step = 0; step < steps; ++step)
      for (std::size_t r = 0; r < tile_side; ++r)
        for (std::size_t half = 0; half < 2; ++half, out += 32) {
          const std::size_t column = step * tile_columns + half * lanes;
          const std::size_t left = first + r < m && column < k ? k - column : 0;
          const auto mask = static_cast<__mmask16>(left >= lanes ? 0xFFFF : (1u << left) - 1);
          const Vec values = _mm512_maskz_loadu_ps(mask, x + (first + r) * ldx + column);
          const Bits upper = _mm512_srli_epi32(round_to_upper(values), 16);
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi32_epi16(upper));
        }
}

// Weights as floats -------------------------------------------------------------------------

struct Eight {
  Vec w[8];
};

constexpr bool has_four_bits(Panel kind) {
  return kind == Panel::q4_0 || kind == Panel::q4_k || has_table(kind);
}

alignas(64) constexpr float four_bit_values[5][16] = {
    {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113},
    {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12},
    {0, 1, -1, 7, -7, 8, -8, 9, -9, 25, -25, 43, -43, 0, 0, 0}};

// Columns 8v to 8v + 7 of a group, before scales.  What is not looked up comes 2^24 times too
// large.
template <Panel kind>
inline Eight values_of(const u8* group, std::size_t v) {
  Eight result;
  if constexpr (has_four_bits(kind)) {
    constexpr std::size_t row = kind == Panel::q4_0    ? 0
                                : kind == Panel::q4_k  ? 1
                                : kind == Panel::mxfp4 ? 3
                                : kind == Panel::grid  ? 4
                                                       : 2;
    const Vec table = load(four_bit_values[row]);
    const Bits line = load_bits(group + 64 * v);
#pragma GCC unroll 8
    for (unsigned j = 0; j < 8; ++j)  // only the low four bits of an index count
      result.w[nibble_column(0, j)] = _mm512_permutexvar_ps(_mm512_srli_epi32(line, 4 * j), table);
    return result;
  }
  // Byte b of every lane to its top, the rest zero.
  alignas(16) static constexpr i8 to_top[4][16] = {
      {-1, -1, -1, 0, -1, -1, -1, 4, -1, -1, -1, 8, -1, -1, -1, 12},
      {-1, -1, -1, 1, -1, -1, -1, 5, -1, -1, -1, 9, -1, -1, -1, 13},
      {-1, -1, -1, 2, -1, -1, -1, 6, -1, -1, -1, 10, -1, -1, -1, 14},
      {-1, -1, -1, 3, -1, -1, -1, 7, -1, -1, -1, 11, -1, -1, -1, 15}};
  CodeBytes codes = codes_of<kind>(group, v, 0);
  if constexpr (offset_bits(kind) != 0) {
    const Bits offset = all_bytes(static_cast<char>(1 << offset_bits(kind)));
    codes = {_mm512_sub_epi8(codes.low, offset), _mm512_sub_epi8(codes.high, offset)};
  }
#pragma GCC unroll 4
  for (std::size_t b = 0; b < 4; ++b) {
    const Bits order = repeat_16(to_top[b]);
    result.w[b] = to_floats(pick(codes.low, order));
    result.w[b + 4] = to_floats(pick(codes.high, order));
  }
  return result;
}

// B: [steps of 32 columns][16 pairs of columns][16 rows][2].
template <Panel kind>
void unpack_groups(u8* out, const void* panel, std::size_t first, std::size_t k) {
  constexpr PanelShape shape = shape_of(kind);
  constexpr std::size_t groups = shape.unit_columns / group_columns;
  constexpr float unit = has_four_bits(kind) ? 1.0f : 0x1p-24f;
  const u8* units = static_cast<const u8*>(panel) + first / shape.unit_columns * shape.unit_bytes;
  for (std::size_t i = 0; i < k / group_columns; ++i) {
    const u8* super = units + i / groups * shape.unit_bytes;
    const u8* group = super + shape.head_bytes + i % groups * shape.group_bytes;
    Scales scales = {};
    for (std::size_t v = 0; v < 4; ++v, out += 256) {
      if (v % steps_per_scale(kind) == 0) {
        scales = scales_of<kind>(super, group, v, 0);
        scales.scale *= unit;
      }
      const Eight eight = values_of<kind>(group, v);
      const auto weight = [&](std::size_t c) {
        return has_minimum(kind) ? multiply_add(eight.w[c], scales.scale, scales.minus_minimum)
                                 : eight.w[c] * scales.scale;
      };
#pragma GCC unroll 4
      for (std::size_t c = 0; c < 8; c += 2)
        store_bits(out + 32 * c, pairs_of(weight(c), weight(c + 1)));
    }
  }
}

// Zeros in the pairs of columns from k to the end of its step.
void clear_rest(u8* b, std::size_t k) {
  const std::size_t pairs = (k + 1) / 2, all = (k + tile_columns - 1) / tile_columns * 16;
  memset(b + 64 * pairs, 0, 64 * (all - pairs));
}

void unpack_half_floats(u8* b, const void* panel, std::size_t first, std::size_t k) {
  const u16* halves_of = static_cast<const u16*>(panel) + panel_rows * first;
  for (std::size_t i = 0; i < k; i += 2) {
    const Vec odd = i + 1 < k ? load_halves(halves_of + panel_rows * (i + 1)) : Vec{};
    store_bits(b + 32 * i, pairs_of(load_halves(halves_of + panel_rows * i), odd));
  }
  clear_rest(b, k);
}

void unpack_bf16_pairs(u8* b, const void* panel, std::size_t first, std::size_t k) {
  memcpy(b, static_cast<const u8*>(panel) + 32 * first, 64 * ((k + 1) / 2));
  clear_rest(b, k);
}

void unpack_to_bf16(Panel kind, void* b, const void* panel, std::size_t first, std::size_t k) {
  u8* out = static_cast<u8*>(b);
  if (kind == Panel::f16) return unpack_half_floats(out, panel, first, k);
  if (kind == Panel::bf16) return unpack_bf16_pairs(out, panel, first, k);
  with_group_kind(
      kind, [=](auto constant) { unpack_groups<decltype(constant)::value>(out, panel, first, k); });
}

void unpack_rows_to_bf16(void* b, const float* rows, std::size_t ld, std::size_t k) {
  u8* out = static_cast<u8*>(b);
  const auto stride = static_cast<std::int32_t>(ld);
  alignas(64) std::int32_t places[lanes];
  for (std::int32_t n = 0; n < 16; ++n) places[n] = n * stride;
  const Bits index = _mm512_load_si512(places);
  for (std::size_t i = 0; i < k; i += 2) {
    const Vec even = _mm512_i32gather_ps(index, rows + i, 4);
    const Vec odd = i + 1 < k ? Vec(_mm512_i32gather_ps(index, rows + i + 1, 4)) : Vec{};
    store_bits(out + 32 * i, pairs_of(even, odd));
  }
  clear_rest(out, k);
}

// Multiplication ----------------------------------------------------------------------------

// Tiles 0 to 3 are C, row by row; 4 and 5 are A; 6 and 7 are B.
template <std::size_t high, std::size_t wide>
void multiply_tiles(Tiles& tiles, float* c, std::size_t ldc, const u8* a, const u8* b,
                    std::size_t steps) {
  const std::size_t stride = ldc * sizeof(float), next = steps * tile_bytes;
  float* below = c + tile_side * ldc;
  load_tile<0>(tiles, c, stride);
  if constexpr (wide == 2) load_tile<1>(tiles, c + tile_side, stride);
  if constexpr (high == 2) load_tile<2>(tiles, below, stride);
  if constexpr (high == 2 && wide == 2) load_tile<3>(tiles, below + tile_side, stride);
  for (std::size_t step = 0; step < steps; ++step, a += tile_bytes, b += tile_bytes) {
    load_tile<4>(tiles, a, 64);
    load_tile<6>(tiles, b, 64);
    add_tile_products<0, 4, 6>(tiles);
    if constexpr (wide == 2) load_tile<7>(tiles, b + next, 64);
    if constexpr (wide == 2) add_tile_products<1, 4, 7>(tiles);
    if constexpr (high == 2) load_tile<5>(tiles, a + next, 64);
    if constexpr (high == 2) add_tile_products<2, 5, 6>(tiles);
    if constexpr (high == 2 && wide == 2) add_tile_products<3, 5, 7>(tiles);
  }
  store_tile<0>(tiles, c, stride);
  if constexpr (wide == 2) store_tile<1>(tiles, c + tile_side, stride);
  if constexpr (high == 2) store_tile<2>(tiles, below, stride);
  if constexpr (high == 2 && wide == 2) store_tile<3>(tiles, below + tile_side, stride);
}

template <std::size_t wide>
void multiply_strip(Tiles& tiles, float* c, std::size_t ldc, const u8* a, const u8* b,
                    std::size_t m, std::size_t steps) {
  std::size_t row = 0;
  for (; row + tile_side < m; row += 2 * tile_side)
    multiply_tiles<2, wide>(tiles, c + row * ldc, ldc, a + row * steps * 64, b, steps);
  if (row < m) multiply_tiles<1, wide>(tiles, c + row * ldc, ldc, a + row * steps * 64, b, steps);
}

// Two panels of B stay in the first-level cache while A comes from the second.
void block_bf16(Panel, float* c, std::size_t ldc, const void* a, const void* b, std::size_t m,
                std::size_t k, std::size_t panels, const Ahead*) {
  const u8* rows = static_cast<const u8*>(a);
  const u8* weights = static_cast<const u8*>(b);
  const std::size_t steps = (k + tile_columns - 1) / tile_columns;
  Tiles tiles;
  open_tiles(tiles);
  for (std::size_t p = 0; p < panels; p += 2, weights += 2 * steps * tile_bytes)
    if (panels - p >= 2)
      multiply_strip<2>(tiles, c + p * panel_rows, ldc, rows, weights, m, steps);
    else
      multiply_strip<1>(tiles, c + p * panel_rows, ldc, rows, weights, m, steps);
  close_tiles(tiles);
}

constexpr Gemm bf16_tiles = {
    .kinds = (float_kinds | group_kinds) & ~kind_bit(Panel::f32),
    .most_rows = 480,
    .most_panels = 8,
    .tile_rows = tile_side,
    .k_step = tile_columns,
    .a_step_bytes = 64,
    .b_step_bytes = tile_bytes,
    .tolerance = 1e-2f,
    .pack = pack_bf16,
    .unpack = unpack_to_bf16,
    .unpack_rows = unpack_rows_to_bf16,
    .block = block_bf16,
    .few = nullptr,
    .most_few = 0,
    .pack_few = nullptr,
};

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
