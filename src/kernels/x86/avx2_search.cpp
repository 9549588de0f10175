// Search kernels for AVX2.
#define HEARTH_ISA avx2_search
#define HEARTH_LANES 8
#include "kernels/search.h"
#include "kernels/vectors.inl"
//
#include "kernels/search_floats.inl"
#include "kernels/search_plain.inl"

namespace hearth::kernels::avx2_search {
namespace {

inline __m256i load_bytes(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

// Products of 16 bytes, in pairs; the instruction that multiplies bytes would saturate.
inline __m256i pair_products(const u8* row, const i8* query) {
  const __m256i x = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row)));
  const __m256i q = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(query)));
  return _mm256_madd_epi16(x, q);
}

inline std::int32_t row_dot(const u8* row, const i8* query, std::size_t dim) {
  __m256i s0 = _mm256_setzero_si256(), s1 = s0;
  std::size_t j = 0;
  for (; dim - j >= 32; j += 32) {
    s0 = _mm256_add_epi32(s0, pair_products(row + j, query + j));
    s1 = _mm256_add_epi32(s1, pair_products(row + j + 16, query + j + 16));
  }
  s0 = _mm256_add_epi32(s0, s1);
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(s0), _mm256_extracti128_si256(s0, 1));
  s = _mm_hadd_epi32(s, s);
  s = _mm_hadd_epi32(s, s);
  std::int32_t total = _mm_cvtsi128_si32(s);
  for (; j < dim; ++j) total += row[j] * query[j];
  return total;
}

void dots_u8(std::int32_t* out, const i8* query, const u8* rows, std::size_t stride, std::size_t n,
             std::size_t dim) {
  for (std::size_t i = 0; i < n; ++i) out[i] = row_dot(rows + i * stride, query, dim);
}

void dots_u8_at(std::int32_t* out, const i8* query, const u8* rows, std::size_t stride,
                const std::uint32_t* ids, std::size_t n, std::size_t dim) {
  constexpr std::size_t ahead = 8;
  for (std::size_t i = 0; i < n && i < ahead; ++i) ask_for(rows + ids[i] * stride, dim);
  for (std::size_t i = 0; i < n; ++i) {
    if (n - i > ahead) ask_for(rows + ids[i + ahead] * stride, dim);
    out[i] = row_dot(rows + ids[i] * stride, query, dim);
  }
}

constexpr auto hamming = plain_hamming;

// Products of one row's four bytes, each pair of 16 bits, by 8 lanes of a panel.
inline __m256i quad_products(__m256i pairs, const i8* columns) {
  const __m256i low =
      _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(columns)));
  const __m256i high =
      _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(columns + 16)));
  // Lanes 0 1 4 5 2 3 6 7.
  return _mm256_hadd_epi32(_mm256_madd_epi16(pairs, low), _mm256_madd_epi16(pairs, high));
}

inline void store_lanes(std::int32_t* out, __m256i s) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_permute4x64_epi64(s, 0xD8));
}

template <std::size_t height>
inline void tile_dots(std::int32_t* out, std::size_t ldo, const u8* rows, std::size_t stride,
                      const i8* panel, std::size_t dim) {
  __m256i s[height][2];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < height; ++i) s[i][0] = s[i][1] = _mm256_setzero_si256();
  for (std::size_t j = 0; j < dim; j += 4) {
    const i8* columns = panel + j * byte_panel_rows;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < height; ++i) {
      int four;
      memcpy(&four, rows + i * stride + j, 4);
      const __m256i x = _mm256_broadcastq_epi64(_mm_cvtepu8_epi16(_mm_cvtsi32_si128(four)));
      s[i][0] = _mm256_add_epi32(s[i][0], quad_products(x, columns));
      s[i][1] = _mm256_add_epi32(s[i][1], quad_products(x, columns + 32));
    }
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < height; ++i) {
    store_lanes(out + i * ldo, s[i][0]);
    store_lanes(out + i * ldo + 8, s[i][1]);
  }
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
      const std::size_t height = m - i < 4 ? m - i : 4;
      dots_panels(dots, byte_panel_rows, rows + i * stride, stride, height,
                  panels + p * byte_panel_rows * dim, 1, dim);
      for (std::size_t r = 0; r < height; ++r)
        take_minima(minima[i + r], dots + r * byte_panel_rows, terms + p * byte_panel_rows,
                    offsets + p * byte_panel_rows, factors[i + r],
                    column + static_cast<std::uint32_t>(p * byte_panel_rows));
    }
}

float panel_keys(float* keys, const u8* row, float factor, const i8* panels, const float* terms,
                 const std::int32_t* offsets, std::size_t count, std::size_t dim) {
  return panel_keys_by(dots_panels, keys, row, factor, panels, terms, offsets, count, dim);
}

constexpr auto at_most = plain_at_most;
constexpr auto sign_tables = plain_sign_tables;

inline __m256i look_up(const u8* codes, const u8* tables) {
  const __m256i low = _mm256_set1_epi8(15), c = load_bytes(codes);
  return _mm256_add_epi8(
      _mm256_shuffle_epi8(load_bytes(tables), _mm256_and_si256(c, low)),
      _mm256_shuffle_epi8(load_bytes(tables + 64), _mm256_and_si256(_mm256_srli_epi16(c, 4), low)));
}

inline __m256 code_values(__m128i sums, const u8* terms, std::size_t first, __m256 scale,
                          __m256 offset) {
  const auto halves = [terms](std::size_t index) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(terms + 2 * index)));
  };
  const __m256 s = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(sums));
  return _mm256_fmadd_ps(halves(block_vectors + first), _mm256_fmadd_ps(s, scale, offset),
                         halves(first));
}

std::size_t scan_codes(float* values, std::uint32_t* places, const CodeScan* scan) {
  const std::size_t groups = scan->groups, bytes = block_bytes(groups);
  const __m256 scale = _mm256_set1_ps(scan->scale), offset = _mm256_set1_ps(scan->offset),
               limit = _mm256_set1_ps(scan->limit);
  const u8* block = scan->blocks;
  std::size_t kept = 0;
  for (std::size_t b = 0; b < scan->count; ++b, block += bytes) {
    __m256i all = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
    for (std::size_t t = 0; t < groups / 4; ++t) {
      const u8* tables = scan->tables + 128 * t;
      const __m256i four = _mm256_add_epi8(look_up(block + 64 * t, tables),
                                           look_up(block + 64 * t + 32, tables + 32));
      all = _mm256_add_epi16(all, four);
      odd = _mm256_add_epi16(odd, _mm256_srli_epi16(four, 8));
    }
    const __m256i sums[2] = {_mm256_sub_epi16(all, _mm256_slli_epi16(odd, 8)), odd};
    const u8* terms = block + groups * 16;
    float value[block_vectors];
    u32 below = 0;
    for (std::size_t part = 0; part < 4; ++part) {
      const __m128i eight = part % 2 == 0 ? _mm256_castsi256_si128(sums[part / 2])
                                          : _mm256_extracti128_si256(sums[part / 2], 1);
      const __m256 v = code_values(eight, terms, 8 * part, scale, offset);
      _mm256_storeu_ps(value + 8 * part, v);
      below |= static_cast<u32>(_mm256_movemask_ps(_mm256_cmp_ps(v, limit, _CMP_LT_OQ)))
               << (8 * part);
    }
    for (; below != 0; below &= below - 1) {
      const u32 v = static_cast<u32>(__builtin_ctz(below));
      values[kept] = value[v];
      places[kept++] = scan->place + static_cast<u32>(b * block_vectors) + v;
    }
  }
  return kept;
}

}  // namespace
}  // namespace hearth::kernels::avx2_search

#include "kernels/search_table.inl"

namespace hearth::kernels {
extern const SearchKernels avx2_search_table;
constexpr SearchKernels avx2_search_table = avx2_search::make_search_table("avx2");
}  // namespace hearth::kernels
