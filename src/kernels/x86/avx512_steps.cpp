// Step kernels for AVX-512 with VNNI: four rows at once, whose sums come out together.
#include <immintrin.h>

#include "kernels/steps.h"

namespace hearth::kernels {
extern const StepKernels avx512_step_table;
namespace {

enum class Measure { squares, products };

template <Measure measure>
inline __m512i add_terms(__m512i s, __m512i q, const std::uint8_t* row) {
  const __m512i x = _mm512_loadu_si512(row);
  if constexpr (measure == Measure::products) return _mm512_dpbusd_epi32(s, x, q);
  const __m512i d = _mm512_abs_epi8(_mm512_sub_epi8(q, x));
  return _mm512_dpbusd_epi32(s, d, d);
}

// The lane sums of four registers.
inline __m128i lane_sums(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  const __m512i s = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

constexpr std::size_t group = 4, rows_ahead = 8;

inline void ask_for(const std::uint8_t* row, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(row + i);
}

template <Measure measure>
inline __m128i four_rows(const std::uint8_t* query, const std::uint8_t* const* row,
                         std::size_t bytes) {
  __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
  for (std::size_t j = 0; j < bytes; j += 64) {
    const __m512i q = _mm512_loadu_si512(query + j);
    s0 = add_terms<measure>(s0, q, row[0] + j);
    s1 = add_terms<measure>(s1, q, row[1] + j);
    s2 = add_terms<measure>(s2, q, row[2] + j);
    s3 = add_terms<measure>(s3, q, row[3] + j);
  }
  const __m128i sums = lane_sums(s0, s1, s2, s3);
  return measure == Measure::squares ? sums : _mm_sub_epi32(_mm_setzero_si128(), sums);
}

template <Measure measure>
void steps_at(std::int32_t* out, const std::uint8_t* query, const std::uint8_t* rows,
              std::size_t stride, const std::uint32_t* ids, std::size_t n, std::size_t bytes) {
  const std::uint8_t* row[group];
  for (std::size_t i = 0; i < n && i < rows_ahead; ++i) ask_for(rows + ids[i] * stride, bytes);
  for (std::size_t i = 0; i < n; i += group) {
    const std::size_t last = n - 1;
    for (std::size_t r = 0; r < group; ++r) {
      row[r] = rows + ids[i + r < last ? i + r : last] * stride;
      if (n - i > rows_ahead + r) ask_for(rows + ids[i + rows_ahead + r] * stride, bytes);
    }
    const __m128i sums = four_rows<measure>(query, row, bytes);
    if (n - i >= group)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), sums);
    else
      _mm_mask_storeu_epi32(out + i, static_cast<__mmask8>((1u << (n - i)) - 1), sums);
  }
}

}  // namespace

const StepKernels avx512_step_table = {.name = "avx512",
                                       .squares_at = steps_at<Measure::squares>,
                                       .products_at = steps_at<Measure::products>};
}  // namespace hearth::kernels
