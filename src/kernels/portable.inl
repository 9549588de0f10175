// Compiled once per instruction set.  The includer defines HEARTH_LANES, floats per register, and
// HEARTH_ISA, a namespace, so that profiles name the build.  No external linkage.
#include "kernels/unpack.inl"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace hearth::kernels::HEARTH_ISA {
namespace {

typedef float Vec __attribute__((vector_size(HEARTH_LANES * sizeof(float))));
typedef std::int32_t Ints __attribute__((vector_size(HEARTH_LANES * sizeof(std::int32_t))));

constexpr std::size_t lanes = HEARTH_LANES;
constexpr std::size_t panel_vectors = panel_rows / lanes;

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
#else
  return a * b + c;
#endif
}

inline Vec load_halves(const u16* p) {
#if HEARTH_LANES == 16
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif HEARTH_LANES == 8
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
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

// Exponentials ------------------------------------------------------------------------------

// e^x = 2^power * (1 + rest), |rest| < 0.42.
struct Exponential {
  Vec power, rest;
};

// x within [-87.3, 88.3].  The polynomial is a Chebyshev fit of (e^r - 1 - r) / r^2 on
// |r| <= ln 2 / 2, within 1e-9.
inline Exponential split_exponential(Vec x) {
  const Vec shifted = multiply_add(x, splat(0x1.715476p+0f), splat(0x1.8p23f));
  const Vec n = shifted - 0x1.8p23f;
  Vec r = multiply_add(n, splat(-0x1.62e4p-1f), x);  // ln 2, high bits: n times it is exact
  r = multiply_add(n, splat(-0x1.7f7d1cp-20f), r);   // ln 2, the rest
  Vec p = splat(0.00019899391918443143f);
  p = multiply_add(p, r, splat(0.0013933733571320772f));
  p = multiply_add(p, r, splat(0.0083332983776927f));
  p = multiply_add(p, r, splat(0.041666463017463684f));
  p = multiply_add(p, r, splat(0.1666666716337204f));
  p = multiply_add(p, r, splat(0.5f));
  const Ints exponent = __builtin_convertvector(n, Ints) + 127;
  return {bits(exponent << 23), multiply_add(r * r, p, r)};
}

// e^x within 3e-7, relative; 0 below -87.3, at most e^88.3.
inline Vec exponential(Vec x) {
  const Vec low = splat(-87.3f);
  const Exponential e = split_exponential(vector_min(vector_max(x, low), splat(88.3f)));
  const Vec value = multiply_add(e.power, e.rest, e.power);
  return x < low ? Vec{} : value;
}

inline Vec sigmoid(Vec x) { return 1.0f / (1.0f + exponential(-x)); }

// Relative 1e-6, near zero too: e^2x - 1 is summed without losing its small part.
inline Vec hyperbolic_tangent(Vec x) {
  const Vec limited = vector_min(vector_max(x, splat(-9.5f)), splat(9.5f));
  const Exponential e = split_exponential(limited + limited);
  const Vec minus_one = multiply_add(e.power, e.rest, e.power - 1.0f);
  return minus_one / (minus_one + 2.0f);
}

// erf within 2e-7, absolute.  Source: Abramowitz and Stegun, 7.1.26.
inline Vec error_function(Vec x) {
  const Vec a = vector_max(x, -x);
  const Vec t = 1.0f / (1.0f + 0.3275911f * a);
  Vec p = splat(1.061405429f);
  p = multiply_add(p, t, splat(-1.453152027f));
  p = multiply_add(p, t, splat(1.421413741f));
  p = multiply_add(p, t, splat(-0.284496736f));
  p = multiply_add(p, t, splat(0.254829592f));
  const Vec value = 1.0f - p * t * exponential(-a * a);
  return x < Vec{} ? -value : value;
}

template <Curve curve>
inline Vec evaluate(Vec x) {
  if constexpr (curve == Curve::silu) return x * sigmoid(x);
  if constexpr (curve == Curve::gelu) return 0.5f * x * (1.0f + error_function(x * 0.70710678f));
  if constexpr (curve == Curve::gelu_tanh)
    return 0.5f * x * (1.0f + hyperbolic_tangent(0.79788456f * (x + 0.044715f * x * x * x)));
  if constexpr (curve == Curve::quick_gelu) return x * sigmoid(1.702f * x);
  if constexpr (curve == Curve::relu) return vector_max(x, Vec{});
  if constexpr (curve == Curve::relu_squared) return vector_max(x, Vec{}) * vector_max(x, Vec{});
  if constexpr (curve == Curve::tanh) return hyperbolic_tangent(x);
  if constexpr (curve == Curve::sigmoid) return sigmoid(x);
}

template <Curve curve>
void activate(float* x, std::size_t n) {
  each(n,
       [=](std::size_t i, auto read, auto write) { write(x + i, evaluate<curve>(read(x + i))); });
}

template <Curve curve>
void activate_mul(float* gate, const float* up, std::size_t n) {
  each(n, [=](std::size_t i, auto read, auto write) {
    write(gate + i, evaluate<curve>(read(gate + i)) * read(up + i));
  });
}

void swiglu_clamped(float* gate, const float* up, std::size_t n, float alpha, float limit) {
  each(n, [=](std::size_t i, auto read, auto write) {
    const Vec g = vector_min(read(gate + i), splat(limit));
    const Vec u = vector_max(vector_min(read(up + i), splat(limit)), splat(-limit));
    write(gate + i, g * sigmoid(alpha * g) * (u + 1.0f));
  });
}

// Rows --------------------------------------------------------------------------------------

void add(float* x, const float* y, std::size_t n) {
  each(n, [=](std::size_t i, auto read, auto write) { write(x + i, read(x + i) + read(y + i)); });
}

void scale(float* x, float factor, std::size_t n) {
  each(n, [=](std::size_t i, auto read, auto write) { write(x + i, read(x + i) * factor); });
}

void softcap(float* x, float cap, std::size_t n) {
  const float inverse = 1.0f / cap;
  each(n, [=](std::size_t i, auto read, auto write) {
    write(x + i, cap * hyperbolic_tangent(read(x + i) * inverse));
  });
}

void softmax(float* x, std::size_t n) {
  float top = x[0];
  for (std::size_t i = 1; i < n; ++i) top = x[i] > top ? x[i] : top;
  each(n,
       [=](std::size_t i, auto read, auto write) { write(x + i, exponential(read(x + i) - top)); });
  Vec total = {};
  each(n, [&](std::size_t i, auto read, auto) { total += read(x + i); });
  scale(x, 1.0f / sum(total), n);
}

float dot(const float* a, const float* b, std::size_t n) {
  Vec s[4] = {};  // chains, to hide the latency of the add
  std::size_t i = 0;
  for (; n - i >= 4 * lanes; i += 4 * lanes)
    for (std::size_t j = 0; j < 4; ++j)
      s[j] = multiply_add(load(a + i + j * lanes), load(b + i + j * lanes), s[j]);
  each(n - i, [&, i](std::size_t j, auto read, auto) {
    s[0] = multiply_add(read(a + i + j), read(b + i + j), s[0]);
  });
  return sum((s[0] + s[1]) + (s[2] + s[3]));
}

void rms_norm(float* y, const float* x, const float* w, std::size_t n, float eps) {
  const float factor = 1.0f / sqrtf(dot(x, x, n) / static_cast<float>(n) + eps);
  each(n, [=](std::size_t i, auto read, auto write) {
    const Vec scaled = read(x + i) * factor;
    write(y + i, w ? scaled * read(w + i) : scaled);
  });
}

void layer_norm(float* y, const float* x, const float* w, const float* b, std::size_t n,
                float eps) {
  Vec total = {};
  each(n, [&](std::size_t i, auto read, auto) { total += read(x + i); });
  const float mean = sum(total) / static_cast<float>(n);
  each(n, [=](std::size_t i, auto read, auto write) { write(y + i, read(x + i) - mean); });
  const float factor = 1.0f / sqrtf(dot(y, y, n) / static_cast<float>(n) + eps);
  each(n, [=](std::size_t i, auto read, auto write) {
    Vec value = read(y + i) * factor;
    if (w) value *= read(w + i);
    if (b) value += read(b + i);
    write(y + i, value);
  });
}

void l2_norm(float* y, const float* x, std::size_t n, float eps) {
  const float length = sqrtf(dot(x, x, n));
  const float factor = 1.0f / (length > eps ? length : eps);
  each(n, [=](std::size_t i, auto read, auto write) { write(y + i, read(x + i) * factor); });
}

void rope_halves(float* x, const float* cosines, const float* sines, std::size_t half) {
  float* second = x + half;
  each(half, [=](std::size_t i, auto read, auto write) {
    const Vec a = read(x + i), b = read(second + i), c = read(cosines + i), s = read(sines + i);
    write(x + i, a * c - b * s);
    write(second + i, a * s + b * c);
  });
}

void rope_pairs(float* x, const float* cosines, const float* sines, std::size_t half) {
  for (std::size_t i = 0; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = a * cosines[i] - b * sines[i];
    x[2 * i + 1] = a * sines[i] + b * cosines[i];
  }
}

inline u16 round_to_half(float x) {
  const u32 raw = bits_of_float(x), sign = (raw >> 16) & 0x8000, rest = raw & 0x7FFFFFFF;
  if (rest > 0x7F800000) return static_cast<u16>(sign | 0x7E00 | (rest >> 13 & 0x1FF));
  if (rest >= 0x477FF000) return static_cast<u16>(sign | 0x7C00);
  if (rest < 0x38800000)  // subnormal: adding 0.5 rounds to a whole number of 2^-24
    return static_cast<u16>(sign | (bits_of_float(float_of_bits(rest) + 0.5f) - 0x3F000000));
  return static_cast<u16>(sign | ((rest - 0x38000000 + 0xFFF + (rest >> 13 & 1)) >> 13));
}

void to_half(std::uint16_t* y, const float* x, std::size_t n) {
  std::size_t i = 0;
#if HEARTH_LANES == 16
  for (; n - i >= lanes; i += lanes)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i),
                        _mm512_cvtps_ph(load(x + i), _MM_FROUND_TO_NEAREST_INT));
#elif HEARTH_LANES == 8
  for (; n - i >= lanes; i += lanes)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + i),
                     _mm256_cvtps_ph(load(x + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (; i < n; ++i) y[i] = round_to_half(x[i]);
}

// Attention ---------------------------------------------------------------------------------

constexpr std::size_t page_vectors = 32 / lanes;
constexpr std::size_t score_rows = lanes == 16 ? 8 : lanes == 8 ? 2 : 1;

// Fully unrolled by the compiler, so that the sums stay in registers.
template <std::size_t rows, typename T>
void score_tile(float* s, const float* q, std::size_t ldq, const T* keys, std::size_t dim) {
  Vec sums[rows][page_vectors] = {};
  for (std::size_t d = 0; d < dim; ++d) {
    Vec key[page_vectors];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < page_vectors; ++v) key[v] = load_values(keys + 32 * d + v * lanes);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < rows; ++r) {
      const Vec x = splat(q[r * ldq + d]);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < page_vectors; ++v)
        sums[r][v] = multiply_add(x, key[v], sums[r][v]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < page_vectors; ++v) store(s + 32 * r + v * lanes, sums[r][v]);
}

template <std::size_t most, typename T>
void score_rest(float* s, const float* q, std::size_t ldq, const T* keys, std::size_t rows,
                std::size_t dim) {
  if (rows == most) return score_tile<most>(s, q, ldq, keys, dim);
  if constexpr (most > 1) score_rest<most - 1>(s, q, ldq, keys, rows, dim);
}

template <typename T>
void scores(float* s, const float* q, std::size_t ldq, const void* keys, std::size_t rows,
            std::size_t dim) {
  for (std::size_t r = 0; r < rows; r += score_rows) {
    const std::size_t some = rows - r < score_rows ? rows - r : score_rows;
    score_rest<score_rows>(s + 32 * r, q + r * ldq, ldq, static_cast<const T*>(keys), some, dim);
  }
}

inline Ints lane_numbers() {
  Ints numbers;
  for (std::size_t i = 0; i < lanes; ++i) numbers[i] = static_cast<std::int32_t>(i);
  return numbers;
}

float softmax_step(float* s, float* max, float* sum_so_far, const SoftmaxStep* step) {
  const auto first = static_cast<std::int32_t>(step->first);
  const auto last = static_cast<std::int32_t>(step->last);
  const Vec hidden = splat(-__builtin_inff());
  const float inverse_cap = step->softcap > 0 ? 1.0f / step->softcap : 0.0f;
  Vec values[page_vectors];
  Vec tops = splat(*max);
  for (std::size_t v = 0; v < page_vectors; ++v) {
    const Ints t = lane_numbers() + static_cast<std::int32_t>(v * lanes);
    const Ints distance = t > step->self ? t - step->self : step->self - t;
    Vec x = load(s + v * lanes) * step->scale;
    if (step->softcap > 0) x = step->softcap * hyperbolic_tangent(x * inverse_cap);
    if (step->slope != 0) x -= step->slope * __builtin_convertvector(distance, Vec);
    const Ints visible = (t >= first) & (t < last);
    values[v] = visible ? x : hidden;
    tops = vector_max(values[v], tops);
  }
  const float top = largest(tops);
  Vec total = {};
  for (std::size_t v = 0; v < page_vectors; ++v) {
    const Vec p = exponential(values[v] - top);
    store(s + v * lanes, p);
    total += p;
  }
  const float factor = exponential(splat(*max - top))[0];
  *sum_so_far = *sum_so_far * factor + sum(total);
  *max = top;
  return factor;
}

constexpr std::size_t mix_rows = lanes == 16 ? 4 : 2;
constexpr std::size_t mix_vectors = 4;

// Columns [0, vectors * lanes) of `rows` rows; `rest` > 0: only so many lanes of the last vector.
template <std::size_t rows, std::size_t vectors, typename T>
void mix_tile(float* out, std::size_t ldo, const float* factors, const float* p, const T* values,
              std::size_t dim, std::size_t first, std::size_t last, std::size_t rest) {
  Vec sums[rows][vectors];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) {
      const float* at = out + r * ldo + v * lanes;
      sums[r][v] = (rest ? load_some(at, rest) : load(at)) * factors[r];
    }
  for (std::size_t t = first; t < last; ++t) {
    Vec value[vectors];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) {
      const T* at = values + t * dim + v * lanes;
      value[v] = rest ? load_some_values(at, rest) : load_values(at);
    }
#pragma GCC unroll 8
    for (std::size_t r = 0; r < rows; ++r) {
      const Vec weight = splat(p[32 * r + t]);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < vectors; ++v)
        sums[r][v] = multiply_add(weight, value[v], sums[r][v]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) {
      float* at = out + r * ldo + v * lanes;
      if (rest)
        store_some(at, sums[r][v], rest);
      else
        store(at, sums[r][v]);
    }
}

template <std::size_t rows, typename T>
void mix_strip(float* out, std::size_t ldo, const float* factors, const float* p, const T* values,
               std::size_t dim, std::size_t first, std::size_t last) {
  std::size_t d = 0;
  for (; dim - d >= mix_vectors * lanes; d += mix_vectors * lanes)
    mix_tile<rows, mix_vectors>(out + d, ldo, factors, p, values + d, dim, first, last, 0);
  for (; dim - d >= lanes; d += lanes)
    mix_tile<rows, 1>(out + d, ldo, factors, p, values + d, dim, first, last, 0);
  if (d < dim) mix_tile<rows, 1>(out + d, ldo, factors, p, values + d, dim, first, last, dim - d);
}

template <typename T>
void mix(float* out, std::size_t ldo, const float* factors, const float* p, const void* values,
         std::size_t rows, std::size_t dim, std::size_t first, std::size_t last) {
  const T* from = static_cast<const T*>(values);
  std::size_t r = 0;
  for (; rows - r >= mix_rows; r += mix_rows)
    mix_strip<mix_rows>(out + r * ldo, ldo, factors + r, p + 32 * r, from, dim, first, last);
  for (; r < rows; ++r)
    mix_strip<1>(out + r * ldo, ldo, factors + r, p + 32 * r, from, dim, first, last);
}

// Multiplication ----------------------------------------------------------------------------

// Rows and panels of C held in registers at once.
constexpr std::size_t tile_rows = lanes == 16 ? 12 : lanes == 8 ? 6 : 3;
constexpr std::size_t tile_panels = lanes == 16 ? 2 : 1;

// m rows are cut into as few tiles as fit, of heights that differ by at most one.
struct Cut {
  std::size_t tiles, height, taller;  // the first `taller` tiles have height + 1 rows
};
inline Cut cut(std::size_t m) {
  const std::size_t tiles = (m + tile_rows - 1) / tile_rows;
  return {tiles, tiles ? m / tiles : 0, tiles ? m % tiles : 0};
}

// A: tile after tile, each [k][height].
void pack(void* a, const float* x, std::size_t ldx, std::size_t m, std::size_t k) {
  float* out = static_cast<float*>(a);
  const Cut c = cut(m);
  for (std::size_t t = 0; t < c.tiles; ++t) {
    const std::size_t height = c.height + (t < c.taller ? 1 : 0);
    for (std::size_t r = 0; r < height; ++r)
      for (std::size_t i = 0; i < k; ++i) out[i * height + r] = x[r * ldx + i];
    out += height * k;
    x += height * ldx;
  }
}

template <std::size_t rows, std::size_t panels>
void tile(float* c, std::size_t ldc, const float* a, const float* b, std::size_t k) {
  constexpr std::size_t vectors = panels * panel_vectors;
  Vec sums[rows][vectors];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) sums[r][v] = load(c + r * ldc + v * lanes);
  for (std::size_t i = 0; i < k; ++i) {
    Vec w[vectors];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v)
      w[v] = load(b + (v / panel_vectors * k + i) * panel_rows + v % panel_vectors * lanes);
#pragma GCC unroll 12
    for (std::size_t r = 0; r < rows; ++r) {
      const Vec x = splat(a[i * rows + r]);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < vectors; ++v) sums[r][v] = multiply_add(x, w[v], sums[r][v]);
    }
  }
#pragma GCC unroll 12
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) store(c + r * ldc + v * lanes, sums[r][v]);
}

template <std::size_t most, std::size_t panels>
void tile_of(std::size_t rows, float* c, std::size_t ldc, const float* a, const float* b,
             std::size_t k) {
  if (rows == most) return tile<most, panels>(c, ldc, a, b, k);
  if constexpr (most > 1) tile_of<most - 1, panels>(rows, c, ldc, a, b, k);
}

void block(float* c, std::size_t ldc, const void* a, const void* b, std::size_t m, std::size_t k,
           std::size_t panels) {
  const Cut all = cut(m);
  for (std::size_t p = 0; p < panels; p += tile_panels) {
    const float* weights = static_cast<const float*>(b) + p * panel_rows * k;
    const float* rows = static_cast<const float*>(a);
    float* out = c + p * panel_rows;
    for (std::size_t t = 0; t < all.tiles; ++t) {
      const std::size_t height = all.height + (t < all.taller ? 1 : 0);
      if (panels - p >= tile_panels)
        tile_of<tile_rows, tile_panels>(height, out, ldc, rows, weights, k);
      else
        tile_of<tile_rows, 1>(height, out, ldc, rows, weights, k);
      rows += height * k;
      out += height * ldc;
    }
  }
}

// Unpacks some columns at a time and multiplies row by row.
template <Panel kind, Unpack unpack>
void gemv(float* y, std::size_t ldy, const float* x, std::size_t ldx, std::size_t m,
          const void* panels, std::size_t panel_count, std::size_t k) {
  alignas(64) float weights[super_columns * panel_rows];
  for (std::size_t p = 0; p < panel_count; ++p) {
    const u8* panel = static_cast<const u8*>(panels) + p * panel_bytes(kind, k);
    float* out = y + p * panel_rows;
    for (std::size_t i = 0; i < m; ++i) memset(out + i * ldy, 0, panel_rows * sizeof(float));
    for (std::size_t first = 0; first < k; first += super_columns) {
      const std::size_t columns = k - first < super_columns ? k - first : super_columns;
      unpack(weights, panel, first, columns);
      for (std::size_t i = 0; i < m; ++i)
        tile<1, 1>(out + i * ldy, ldy, x + i * ldx + first, weights, columns);
    }
  }
}

using Gemv = decltype(Kernels::gemv);

// A table of what is above, with the multiplications given.
constexpr Kernels make_table(const char* name, const Gemv& gemv, const Gemm& plain,
                             const Gemm& tier) {
  Kernels table = {
      .name = name,
      .dot = dot,
      .gemv = {},
      .plain = plain,
      .tier = tier,
      .rms_norm = rms_norm,
      .layer_norm = layer_norm,
      .l2_norm = l2_norm,
      .rope_halves = rope_halves,
      .rope_pairs = rope_pairs,
      .activate = {activate<Curve::silu>, activate<Curve::gelu>, activate<Curve::gelu_tanh>,
                   activate<Curve::quick_gelu>, activate<Curve::relu>,
                   activate<Curve::relu_squared>, activate<Curve::tanh>, activate<Curve::sigmoid>},
      .activate_mul = {activate_mul<Curve::silu>, activate_mul<Curve::gelu>,
                       activate_mul<Curve::gelu_tanh>, activate_mul<Curve::quick_gelu>,
                       activate_mul<Curve::relu>, activate_mul<Curve::relu_squared>,
                       activate_mul<Curve::tanh>, activate_mul<Curve::sigmoid>},
      .swiglu_clamped = swiglu_clamped,
      .add = add,
      .scale = scale,
      .softcap = softcap,
      .softmax = softmax,
      .to_half = to_half,
      .scores = scores<float>,
      .scores_half = scores<u16>,
      .softmax_step = softmax_step,
      .mix = mix<float>,
      .mix_half = mix<u16>,
  };
  for (std::size_t kind = 0; kind < panel_kinds; ++kind) table.gemv[kind] = gemv[kind];
  return table;
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
