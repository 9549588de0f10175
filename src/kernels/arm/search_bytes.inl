// Search kernels over bytes for NEON.  Rows' bytes are taken as signed, 128 less, and 128 times the
// query's sum is put back.  Included after search_plain.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// sums + the products of the four bytes of every lane.
inline int32x4_t add_products(int32x4_t sums, int8x16_t a, int8x16_t b) {
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(sums, a, b);
#else
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(a, b));
  return vaddq_s32(sums, vpaddq_s32(low, high));
#endif
}

inline int8x16_t less_128(uint8x16_t row) {
  return vreinterpretq_s8_u8(veorq_u8(row, vdupq_n_u8(0x80)));
}

inline std::int32_t sum_of_bytes(const i8* x, std::size_t n) {
  std::int32_t s = 0;
  for (std::size_t i = 0; i < n; ++i) s += x[i];
  return s;
}

// back: 128 times the sum of the query's first dim / 16 * 16 bytes.
inline std::int32_t row_dot(const u8* row, const i8* query, std::size_t dim, std::int32_t back) {
  int32x4_t s[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
  std::size_t j = 0;
  for (; dim - j >= 32; j += 32)
    for (std::size_t part = 0; part < 2; ++part)
      s[part] = add_products(s[part], less_128(vld1q_u8(row + j + 16 * part)),
                             vld1q_s8(query + j + 16 * part));
  for (; dim - j >= 16; j += 16)
    s[0] = add_products(s[0], less_128(vld1q_u8(row + j)), vld1q_s8(query + j));
  std::int32_t total = vaddvq_s32(vaddq_s32(s[0], s[1])) + back;
  for (; j < dim; ++j) total += row[j] * query[j];
  return total;
}

void dots_u8(std::int32_t* out, const i8* query, const u8* rows, std::size_t stride, std::size_t n,
             std::size_t dim) {
  const std::int32_t back = 128 * sum_of_bytes(query, dim / 16 * 16);
  for (std::size_t i = 0; i < n; ++i) out[i] = row_dot(rows + i * stride, query, dim, back);
}

void dots_u8_at(std::int32_t* out, const i8* query, const u8* rows, std::size_t stride,
                const std::uint32_t* ids, std::size_t n, std::size_t dim) {
  constexpr std::size_t ahead = 8;
  const std::int32_t back = 128 * sum_of_bytes(query, dim / 16 * 16);
  for (std::size_t i = 0; i < n && i < ahead; ++i) ask_for(rows + ids[i] * stride, dim);
  for (std::size_t i = 0; i < n; ++i) {
    if (n - i > ahead) ask_for(rows + ids[i + ahead] * stride, dim);
    out[i] = row_dot(rows + ids[i] * stride, query, dim, back);
  }
}

// Bits in which 16 bytes differ, in 4 lanes.
inline uint32x4_t different_bits(const u8* a, const u8* b) {
  return vpaddlq_u16(vpaddlq_u8(vcntq_u8(veorq_u8(vld1q_u8(a), vld1q_u8(b)))));
}

void hamming(std::uint32_t* out, const u8* query, const u8* rows, std::size_t stride, std::size_t n,
             std::size_t bytes) {
  for (std::size_t i = 0; i < n; ++i) {
    const u8* row = rows + i * stride;
    uint32x4_t s = vdupq_n_u32(0);
    std::size_t j = 0;
    for (; bytes - j >= 16; j += 16) s = vaddq_u32(s, different_bits(query + j, row + j));
    std::uint32_t rest;
    plain_hamming(&rest, query + j, row + j, 0, 1, bytes - j);
    out[i] = vaddvq_u32(s) + rest;
  }
}

// `height` rows by one panel.
template <std::size_t height>
inline void tile_dots(std::int32_t* out, std::size_t ldo, const u8* rows, std::size_t stride,
                      const i8* panel, std::size_t dim) {
  int32x4_t s[height][4] = {}, back[4] = {};
  const int8x16_t least = vdupq_n_s8(-128);
  for (std::size_t j = 0; j < dim; j += 4, panel += 4 * byte_panel_rows) {
    int8x16_t columns[4];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < 4; ++v) {
      columns[v] = vld1q_s8(panel + 16 * v);
      back[v] = add_products(back[v], columns[v], least);
    }
#pragma GCC unroll 4
    for (std::size_t i = 0; i < height; ++i) {
      const u32 four = load_u32(rows + i * stride + j, 0);
      const int8x16_t x = less_128(vreinterpretq_u8_u32(vdupq_n_u32(four)));
#pragma GCC unroll 4
      for (std::size_t v = 0; v < 4; ++v) s[i][v] = add_products(s[i][v], columns[v], x);
    }
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < height; ++i)
#pragma GCC unroll 4
    for (std::size_t v = 0; v < 4; ++v)
      vst1q_s32(out + i * ldo + 4 * v, vsubq_s32(s[i][v], back[v]));
}

void dots_panels(std::int32_t* out, std::size_t ldo, const u8* rows, std::size_t stride,
                 std::size_t m, const i8* panels, std::size_t count, std::size_t dim) {
  for (std::size_t p = 0; p < count; ++p) {
    const i8* panel = panels + p * byte_panel_rows * dim;
    std::int32_t* columns = out + p * byte_panel_rows;
    std::size_t i = 0;
    for (; m - i >= 4; i += 4)
      tile_dots<4>(columns + i * ldo, ldo, rows + i * stride, stride, panel, dim);
    for (; i < m; ++i) tile_dots<1>(columns + i * ldo, ldo, rows + i * stride, stride, panel, dim);
  }
}

void nearest(LaneMinima* minima, const u8* rows, std::size_t stride, const float* factors,
             std::size_t m, const i8* panels, const float* terms, const std::int32_t* offsets,
             std::uint32_t column, std::size_t count, std::size_t dim) {
  std::int32_t dots[4 * byte_panel_rows];
  for (std::size_t p = 0; p < count; ++p)
    for (std::size_t i = 0; i < m; i += 4) {
      const std::size_t height = m - i < 4 ? m - i : 4, first = p * byte_panel_rows;
      dots_panels(dots, byte_panel_rows, rows + i * stride, stride, height, panels + first * dim, 1,
                  dim);
      for (std::size_t r = 0; r < height; ++r)
        take_minima(minima[i + r], dots + r * byte_panel_rows, terms + first, offsets + first,
                    factors[i + r], column + static_cast<std::uint32_t>(first));
    }
}

float panel_keys(float* keys, const u8* row, float factor, const i8* panels, const float* terms,
                 const std::int32_t* offsets, std::size_t count, std::size_t dim) {
  return panel_keys_by(dots_panels, keys, row, factor, panels, terms, offsets, count, dim);
}

std::size_t near_pairs(PairHit* hits, const PairScan* scan) {
  return near_pairs_by(dots_panels, hits, scan);
}

constexpr auto at_most = plain_at_most;
constexpr auto sign_tables = plain_sign_tables;

inline uint8x16_t look_up(const u8* codes, const u8* tables) {
  const uint8x16_t c = vld1q_u8(codes);
  return vaddq_u8(vqtbl1q_u8(vld1q_u8(tables), vandq_u8(c, vdupq_n_u8(15))),
                  vqtbl1q_u8(vld1q_u8(tables + 64), vshrq_n_u8(c, 4)));
}

// Sums of a block: of vector b / 2 where byte b is even, of 16 + b / 2 where it is odd.
struct BlockSums {
  uint16x8_t even[2], odd[2];
};
inline BlockSums sums_of_block(const u8* block, const u8* tables, std::size_t groups) {
  BlockSums sums = {};
  for (std::size_t t = 0; t < groups / 4; ++t, block += 64, tables += 128)
    for (std::size_t half = 0; half < 2; ++half) {
      const uint16x8_t pairs = vreinterpretq_u16_u8(vaddq_u8(
          look_up(block + 16 * half, tables), look_up(block + 32 + 16 * half, tables + 32)));
      sums.even[half] = vaddq_u16(sums.even[half], vandq_u16(pairs, vdupq_n_u16(255)));
      sums.odd[half] = vaddq_u16(sums.odd[half], vshrq_n_u16(pairs, 8));
    }
  return sums;
}

std::size_t scan_codes(float* values, std::uint32_t* places, const CodeScan* scan) {
  const float32x4_t scale = vdupq_n_f32(scan->scale), offset = vdupq_n_f32(scan->offset),
                    limit = vdupq_n_f32(scan->limit);
  const u8* block = scan->blocks;
  std::size_t kept = 0;
  for (std::size_t b = 0; b < scan->count; ++b, block += block_bytes(scan->groups)) {
    const BlockSums sums = sums_of_block(block, scan->tables, scan->groups);
    const u16* terms = reinterpret_cast<const u16*>(block + scan->groups * 16);
    for (std::size_t part = 0; part < block_vectors / 4; ++part) {
      const uint16x8_t eight = part < 4 ? sums.even[part / 2] : sums.odd[part / 2 - 2];
      const uint16x4_t four = part % 2 == 0 ? vget_low_u16(eight) : vget_high_u16(eight);
      const float32x4_t s = vfmaq_f32(offset, vcvtq_f32_u32(vmovl_u16(four)), scale);
      const float32x4_t value = vfmaq_f32(load_halves(terms + 4 * part),
                                          load_halves(terms + block_vectors + 4 * part), s);
      const uint32x4_t below = vcltq_f32(value, limit);
      if (vmaxvq_u32(below) == 0) continue;
      for (std::size_t i = 0; i < 4; ++i) {
        if (below[i] == 0) continue;
        values[kept] = value[i];
        places[kept++] = scan->place + static_cast<u32>(b * block_vectors + 4 * part + i);
      }
    }
  }
  return kept;
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
