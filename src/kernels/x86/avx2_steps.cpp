// Step kernels for AVX2: pairs of products fit 16 bits, because codes have seven.
#include <immintrin.h>

#include "kernels/steps.h"

namespace hearth::kernels {
extern const StepKernels avx2_step_table;
namespace {

enum class Measure { squares, products };

inline std::int32_t lane_sum(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_unpackhi_epi64(s, s));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 1)));
}

template <Measure measure>
inline __m256i add_terms(__m256i s, const std::uint8_t* query, const std::uint8_t* row) {
  const __m256i q = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query));
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row));
  __m256i pairs;
  if constexpr (measure == Measure::squares) {
    const __m256i d = _mm256_abs_epi8(_mm256_sub_epi8(q, x));
    pairs = _mm256_maddubs_epi16(d, d);
  } else {
    pairs = _mm256_maddubs_epi16(x, q);
  }
  return _mm256_add_epi32(s, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

constexpr std::size_t rows_ahead = 6;

inline void ask_for(const std::uint8_t* row, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(row + i);
}

template <Measure measure>
void steps_at(std::int32_t* out, const std::uint8_t* query, const std::uint8_t* rows,
              std::size_t stride, const std::uint32_t* ids, std::size_t n, std::size_t bytes) {
  for (std::size_t i = 0; i < n && i < rows_ahead; ++i) ask_for(rows + ids[i] * stride, bytes);
  for (std::size_t i = 0; i < n; ++i) {
    if (n - i > rows_ahead) ask_for(rows + ids[i + rows_ahead] * stride, bytes);
    const std::uint8_t* row = rows + ids[i] * stride;
    __m256i s0 = _mm256_setzero_si256(), s1 = s0;
    for (std::size_t j = 0; j < bytes; j += 64) {
      s0 = add_terms<measure>(s0, query + j, row + j);
      s1 = add_terms<measure>(s1, query + j + 32, row + j + 32);
    }
    const std::int32_t sum = lane_sum(_mm256_add_epi32(s0, s1));
    out[i] = measure == Measure::squares ? sum : -sum;
  }
}

}  // namespace

const StepKernels avx2_step_table = {.name = "avx2",
                                     .squares_at = steps_at<Measure::squares>,
                                     .products_at = steps_at<Measure::products>};
}  // namespace hearth::kernels
