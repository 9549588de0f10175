// Norms, activations, rotations: operations on rows.  Included after vectors.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// e^x = 2^power * (1 + rest), |rest| < 0.42.
struct Exponential {
  Vec power, rest;
};

// e^r - 1 for |r| <= ln 2 / 2.  The polynomial is a Chebyshev fit of (e^r - 1 - r) / r^2 within
// 1e-9.
inline Vec one_less_exponential(Vec r) {
  Vec p = splat(0.00019899391918443143f);
  p = multiply_add(p, r, splat(0.0013933733571320772f));
  p = multiply_add(p, r, splat(0.0083332983776927f));
  p = multiply_add(p, r, splat(0.041666463017463684f));
  p = multiply_add(p, r, splat(0.1666666716337204f));
  p = multiply_add(p, r, splat(0.5f));
  return multiply_add(r * r, p, r);
}

// x within [-87.3, 88.3].
inline Exponential split_exponential(Vec x) {
  const Vec shifted = multiply_add(x, splat(0x1.715476p+0f), splat(0x1.8p23f));
  const Vec n = shifted - 0x1.8p23f;
  Vec r = multiply_add(n, splat(-0x1.62e4p-1f), x);  // ln 2, high bits: n times it is exact
  r = multiply_add(n, splat(-0x1.7f7d1cp-20f), r);   // ln 2, the rest
  const Ints exponent = __builtin_convertvector(n, Ints) + 127;
  return {bits(exponent << 23), one_less_exponential(r)};
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
#elif defined(__aarch64__)
  for (; n - i >= lanes; i += lanes)
    vst1_u16(y + i, vreinterpret_u16_f16(vcvt_f16_f32(load(x + i))));
#endif
  for (; i < n; ++i) y[i] = round_to_half(x[i]);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
