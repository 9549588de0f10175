// Activations rounded to bytes, by groups of columns, each with a scale of its own.  Included after
// bytes.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// What the largest magnitude of a group may be rounded to.  Of these the one is taken that leaves
// the least squared error: a seventh less, on the average, than always the first.
constexpr std::size_t choices = 4;
constexpr float tops[choices] = {127, 126, 125, 124};

// Below this nothing would be left of a scale: such a group counts as zeros.
constexpr float least_magnitude = 1e-30f;

constexpr std::int32_t infinite_bits =
    0x7F800000;  // of the magnitude of what is not finite: at least

inline std::int32_t largest_int(__m256i v) {
  __m128i top = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  top = _mm_max_epi32(top, _mm_shuffle_epi32(top, 0x4E));
  top = _mm_max_epi32(top, _mm_shuffle_epi32(top, 0xB1));
  return _mm_cvtsi128_si32(top);
}

// The bits of the largest magnitude of a group.
inline std::int32_t largest_magnitude(const float* x) {
  const __m256i mask = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i top = _mm256_setzero_si256();
#pragma GCC unroll 4
  for (std::size_t i = 0; i < group_columns; i += 8)
    top =
        _mm256_max_epi32(top, _mm256_and_si256(mask, _mm256_castps_si256(_mm256_loadu_ps(x + i))));
  return largest_int(top);
}

// A group in 256ths of the first choice's steps, as 16-bit numbers in the order that packing
// leaves.
struct Fine {
  __m256i low, high;
};

inline Fine fine_steps(const float* x, float inverse) {
  const __m256 factor = _mm256_set1_ps(inverse * (256 * tops[0]));
  __m256i whole[4];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 4; ++i)
    whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), factor));
  return {_mm256_packs_epi32(whole[0], whole[1]), _mm256_packs_epi32(whole[2], whole[3])};
}

// The same in 256ths of another choice's steps.
inline Fine in_steps_of(std::size_t choice, const Fine& x) {
  // In 2^-15, of which a whole one does not fit.
  constexpr auto share_of = [](float top) { return static_cast<short>(32767 * top / tops[0]); };
  static constexpr short shares[choices] = {share_of(tops[0]), share_of(tops[1]), share_of(tops[2]),
                                            share_of(tops[3])};
  const __m256i share = _mm256_set1_epi16(shares[choice]);
  return {_mm256_mulhrs_epi16(x.low, share), _mm256_mulhrs_epi16(x.high, share)};
}

// Sums of the squared distances from whole steps, in eight parts.
inline __m256i squared_errors(const Fine& x) {
  const auto squares = [](__m256i steps) {
    const __m256i error = _mm256_srai_epi16(_mm256_slli_epi16(steps, 8), 8);
    return _mm256_madd_epi16(error, error);
  };
  return _mm256_add_epi32(squares(x.low), squares(x.high));
}

inline std::size_t best_choice(const Fine& x) {
  __m256i errors[choices];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < choices; ++i) errors[i] = squared_errors(in_steps_of(i, x));
  const __m256i parts = _mm256_hadd_epi32(_mm256_hadd_epi32(errors[0], errors[1]),
                                          _mm256_hadd_epi32(errors[2], errors[3]));
  const __m128i all =
      _mm_add_epi32(_mm256_castsi256_si128(parts), _mm256_extracti128_si256(parts, 1));
  const __m128 steps = _mm_setr_ps(1 / (tops[0] * tops[0]), 1 / (tops[1] * tops[1]),
                                   1 / (tops[2] * tops[2]), 1 / (tops[3] * tops[3]));
  const __m128 sums = _mm_mul_ps(_mm_cvtepi32_ps(all), steps);
  __m128 least = _mm_min_ps(sums, _mm_shuffle_ps(sums, sums, 0x4E));
  least = _mm_min_ps(least, _mm_shuffle_ps(least, least, 0xB1));
  return static_cast<std::size_t>(
      __builtin_ctz(static_cast<unsigned>(_mm_movemask_ps(_mm_cmpeq_ps(sums, least)))));
}

inline __m256i rounded_bytes(const Fine& x) {
  const __m256i half = _mm256_set1_epi16(128);
  const __m256i bytes = _mm256_packs_epi16(_mm256_srai_epi16(_mm256_add_epi16(x.low, half), 8),
                                           _mm256_srai_epi16(_mm256_add_epi16(x.high, half), 8));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// What is not finite makes the whole group so, and every product with it.
inline void bytes_group(ByteGroup* out, const float* x) {
  const std::int32_t top_bits = largest_magnitude(x);
  float top;
  memcpy(&top, &top_bits, 4);
  if (top_bits >= infinite_bits || !(top > least_magnitude)) {
    memset(out, 0, sizeof *out);
    out->scale = out->sum = top * 0.0f;
    return;
  }
  const Fine fine = fine_steps(x, 1 / top);
  const std::size_t best = best_choice(fine);
  const __m256i q = rounded_bytes(in_steps_of(best, fine));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out->q), q);
  const __m256i fours =
      _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), q), _mm256_set1_epi16(1));
  __m128i sums = _mm_hadd_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256(fours, 1));
  sums = _mm_hadd_epi32(sums, sums);
  const std::int32_t first = _mm_cvtsi128_si32(sums), second = _mm_extract_epi32(sums, 1);
  const std::int32_t all = first + second;
  static constexpr float shares[choices] = {1 / tops[0], 1 / tops[1], 1 / tops[2], 1 / tops[3]};
  out->scale = top * shares[best];
  out->sum = out->scale * static_cast<float>(all);
  out->start[0] = -8 * all;
  out->start[1] = -16 * all;
  out->start[2] = -128 * all;
  out->start[3] = -32 * first;
  out->start[4] = -32 * second;
  out->start[5] = 0;
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
