// Distances to rows of floats, and the Hadamard transform.  Included after vectors.inl and
// search.h.

namespace hearth::kernels::HEARTH_ISA {
namespace {

struct Bf16 {
  u16 bits;
};

inline Vec load_values(const Bf16* p) {
#if HEARTH_LANES == 16
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
#elif HEARTH_LANES == 8
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
#elif defined(__aarch64__)
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(reinterpret_cast<const u16*>(p)), 16));
#else
  Vec v;
  for (std::size_t i = 0; i < lanes; ++i) v[i] = float_of_bits(static_cast<u32>(p[i].bits) << 16);
  return v;
#endif
}

inline float lane_sum(Vec v) {
#if HEARTH_LANES == 16
  return _mm512_reduce_add_ps(v);
#elif HEARTH_LANES == 8
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
#else
  return sum(v);
#endif
}

enum class Measure { l2, dot };

template <Measure measure>
inline Vec add_term(Vec q, Vec x, Vec s) {
  if constexpr (measure == Measure::dot) return multiply_add(q, x, s);
  const Vec d = q - x;
  return multiply_add(d, d, s);
}

template <Measure measure, typename T>
inline float row_distance(const float* q, const T* x, std::size_t dim) {
  Vec s0 = {}, s1 = {}, s2 = {}, s3 = {};
  std::size_t i = 0;
  for (; dim - i >= 4 * lanes; i += 4 * lanes) {
    s0 = add_term<measure>(load(q + i), load_values(x + i), s0);
    s1 = add_term<measure>(load(q + i + lanes), load_values(x + i + lanes), s1);
    s2 = add_term<measure>(load(q + i + 2 * lanes), load_values(x + i + 2 * lanes), s2);
    s3 = add_term<measure>(load(q + i + 3 * lanes), load_values(x + i + 3 * lanes), s3);
  }
  for (; dim - i >= lanes; i += lanes) s0 = add_term<measure>(load(q + i), load_values(x + i), s0);
  if (i < dim)
    s1 = add_term<measure>(load_some(q + i, dim - i), load_some_values(x + i, dim - i), s1);
  return lane_sum((s0 + s1) + (s2 + s3));
}

template <Measure measure, typename T>
void distances(float* out, const float* query, const void* rows, std::size_t stride, std::size_t n,
               std::size_t dim) {
  const u8* row = static_cast<const u8*>(rows);
  for (std::size_t i = 0; i < n; ++i, row += stride)
    out[i] = row_distance<measure>(query, reinterpret_cast<const T*>(row), dim);
}

// Rows asked for ahead of the one at work.
constexpr std::size_t rows_ahead = 4;

inline void ask_for(const u8* row, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(row + i);
  __builtin_prefetch(row + bytes - 1);
}

template <Measure measure, typename T>
void distances_at(float* out, const float* query, const void* rows, std::size_t stride,
                  const std::uint32_t* ids, std::size_t n, std::size_t dim) {
  const u8* first = static_cast<const u8*>(rows);
  const std::size_t bytes = dim * sizeof(T);
  for (std::size_t i = 0; i < n && i < rows_ahead; ++i) ask_for(first + ids[i] * stride, bytes);
  for (std::size_t i = 0; i < n; ++i) {
    if (n - i > rows_ahead) ask_for(first + ids[i + rows_ahead] * stride, bytes);
    const u8* row = first + ids[i] * stride;
    out[i] = row_distance<measure>(query, reinterpret_cast<const T*>(row), dim);
  }
}

// The lanes whose numbers differ in one bit, `width`, change places; those that have it set take
// the difference, the others the sum.
template <int width>
inline Vec butterfly(Vec v) {
#if HEARTH_LANES == 16
  const __m512i all = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512 other = _mm512_permutexvar_ps(_mm512_xor_si512(all, _mm512_set1_epi32(width)), v);
  constexpr u32 pattern = width == 1 ? 0xAAAA : width == 2 ? 0xCCCC : width == 4 ? 0xF0F0 : 0xFF00;
  return _mm512_mask_sub_ps(_mm512_add_ps(v, other), static_cast<__mmask16>(pattern), other, v);
#elif HEARTH_LANES == 4
  const Vec other = width == 1 ? __builtin_shufflevector(v, v, 1, 0, 3, 2)
                               : __builtin_shufflevector(v, v, 2, 3, 0, 1);
  const Ints set = width == 1 ? Ints{0, -1, 0, -1} : Ints{0, 0, -1, -1};
  return set ? other - v : v + other;
#else
  float x[lanes], y[lanes];
  memcpy(x, &v, sizeof v);
  for (std::size_t i = 0; i < lanes; ++i)
    y[i] = (i & width) != 0 ? x[i ^ width] - x[i] : x[i] + x[i ^ width];
  Vec result;
  memcpy(&result, y, sizeof y);
  return result;
#endif
}

inline Vec transform(Vec v) {
  v = butterfly<1>(v);
  v = butterfly<2>(v);
#if HEARTH_LANES >= 8
  v = butterfly<4>(v);
#endif
#if HEARTH_LANES >= 16
  v = butterfly<8>(v);
#endif
  return v;
}

inline void small_hadamard(float* x, std::size_t n) {
  for (std::size_t width = 1; width < n; width *= 2)
    for (std::size_t i = 0; i < n; ++i)
      if ((i & width) == 0) {
        const float a = x[i], b = x[i + width];
        x[i] = a + b;
        x[i + width] = a - b;
      }
}

void hadamard(float* x, const float* signs, std::size_t n) {
  if (n < lanes) {
    for (std::size_t i = 0; i < n; ++i) x[i] *= signs[i];
    return small_hadamard(x, n);
  }
  for (std::size_t i = 0; i < n; i += lanes) store(x + i, transform(load(x + i) * load(signs + i)));
  for (std::size_t width = lanes; width < n; width *= 2)
    for (std::size_t first = 0; first < n; first += 2 * width)
      for (std::size_t i = first; i < first + width; i += lanes) {
        const Vec a = load(x + i), b = load(x + i + width);
        store(x + i, a + b);
        store(x + i + width, a - b);
      }
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
