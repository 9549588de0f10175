// Vectors of floats.  The includer defines HEARTH_LANES, floats per register, and HEARTH_ISA.
#include "kernels/scalar.inl"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace hearth::kernels::HEARTH_ISA {
namespace {

typedef float Vec __attribute__((vector_size(HEARTH_LANES * sizeof(float))));
typedef std::int32_t Ints __attribute__((vector_size(HEARTH_LANES * sizeof(std::int32_t))));

constexpr std::size_t lanes = HEARTH_LANES;
constexpr std::size_t panel_vectors = panel_rows / lanes;
#if HEARTH_LANES == 16 || defined(__aarch64__)
constexpr std::size_t registers = 32;
#else
constexpr std::size_t registers = 16;
#endif

inline Vec load(const float* p) {
  Vec v;
  memcpy(&v, p, sizeof v);
  return v;
}

inline void store(float* p, Vec v) { memcpy(p, &v, sizeof v); }

// The first n lanes, n < lanes; the rest is zero.
inline Vec load_some(const float* p, std::size_t n) {
  Vec v = {};
  memcpy(&v, p, n * sizeof(float));
  return v;
}

inline void store_some(float* p, Vec v, std::size_t n) { memcpy(p, &v, n * sizeof(float)); }

inline Vec splat(float x) { return x - Vec{}; }

inline Vec bits(Ints v) {
  Vec result;
  memcpy(&result, &v, sizeof v);
  return result;
}

// a * b + c, rounded once where the machine can.
inline Vec multiply_add(Vec a, Vec b, Vec c) {
#if HEARTH_LANES == 16
  return _mm512_fmadd_ps(a, b, c);
#elif HEARTH_LANES == 8
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__aarch64__)
  return vfmaq_f32(c, a, b);
#else
  return a * b + c;
#endif
}

inline Vec load_halves(const u16* p) {
#if HEARTH_LANES == 16
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif HEARTH_LANES == 8
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif defined(__aarch64__)
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
  Vec v;
  for (std::size_t i = 0; i < lanes; ++i) v[i] = half_to_float(p[i]);
  return v;
#endif
}

inline Vec load_values(const float* p) { return load(p); }
inline Vec load_values(const u16* p) { return load_halves(p); }

template <typename T>
inline Vec load_some_values(const T* p, std::size_t n) {
  T values[lanes] = {};
  memcpy(values, p, n * sizeof(T));
  return load_values(values);
}

#if HEARTH_LANES == 16
// f of all lanes, in halves.
template <typename F>
inline float fold(Vec v, F f) {
  const __m256 low = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7);
  const __m256 high = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m256 eight = f(low, high);
  __m256 x = f(eight, _mm256_permute2f128_ps(eight, eight, 1));
  x = f(x, _mm256_permute_ps(x, 0x4E));
  return _mm256_cvtss_f32(f(x, _mm256_permute_ps(x, 0xB1)));
}

inline float sum(Vec v) {
  return fold(v, [](__m256 a, __m256 b) { return _mm256_add_ps(a, b); });
}

inline float largest(Vec v) {
  return fold(v, [](__m256 a, __m256 b) { return _mm256_max_ps(a, b); });
}
#elif defined(__aarch64__)
inline float sum(Vec v) { return vaddvq_f32(v); }
inline float largest(Vec v) { return vmaxvq_f32(v); }
#else
inline float sum(Vec v) {
  float s[lanes];
  memcpy(s, &v, sizeof v);
  for (std::size_t width = lanes / 2; width > 0; width /= 2)
    for (std::size_t i = 0; i < width; ++i) s[i] += s[i + width];
  return s[0];
}

inline float largest(Vec v) {
  float top = v[0];
  for (std::size_t i = 1; i < lanes; ++i) top = v[i] > top ? v[i] : top;
  return top;
}
#endif

inline Vec vector_max(Vec a, Vec b) { return a > b ? a : b; }
inline Vec vector_min(Vec a, Vec b) { return a < b ? a : b; }

// y[i] = f(x[i]...) for whole vectors, then for what is left.
template <typename F>
inline void each(std::size_t n, F f) {
  std::size_t i = 0;
  for (; n - i >= lanes; i += lanes) f(i, [](const float* p) { return load(p); }, store);
  const std::size_t rest = n - i;
  if (rest == 0) return;
  f(
      i, [rest](const float* p) { return load_some(p, rest); },
      [rest](float* p, Vec v) { store_some(p, v, rest); });
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
