// Scales for groups of N values, one group per lane: what rounds best is found by trying.
// The includer defines HEARTH_LANES and HEARTH_ISA.
#include "kernels/encode.h"
#include "kernels/vectors.inl"

namespace hearth::kernels::HEARTH_ISA {
namespace {

inline u16 float_to_half(float value) {
  const u32 all = bits_of_float(value);
  const u32 sign = all >> 16 & 0x8000u, rest = all & 0x7FFFFFFFu;
  if (rest > 0x7F800000u) return static_cast<u16>(sign | 0x7E00u);
  if (rest >= 0x477FF000u) return static_cast<u16>(sign | 0x7C00u);
  if (rest >= 0x38800000u)
    return static_cast<u16>(sign | (rest - (112u << 23) + 0xFFFu + (rest >> 13 & 1u)) >> 13);
  return static_cast<u16>(sign | (bits_of_float(float_of_bits(rest) + 0.5f) - 0x3F000000u));
}

// Stores the half nearest to a scale and returns what it holds.
inline float put_half(u8* to, float value) {
  const u16 half = float_to_half(value);
  memcpy(to, &half, sizeof half);
  return half_to_float(half);
}

// Adding and taking away 1.5 * 2^23 leaves the nearest whole number, ties to even.
constexpr float rounding = 12582912.0f;
inline float nearest(float x) { return (x + rounding) - rounding; }
inline Vec nearest(Vec x) { return (x + rounding) - rounding; }
inline Vec clamped(Vec x, float low, float high) {
  return vector_min(vector_max(x, splat(low)), splat(high));
}
inline float clamped(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

// The whole number nearest to x * inverse, as an index from 0 to top after `offset` is added.
inline u8 level(float x, float inverse, float offset, float top) {
  return static_cast<u8>(clamped(nearest(x * inverse) + offset, 0, top));
}

// values[i * lanes + g] = x[g * N + i]; lanes past the last group repeat it.
template <int N>
inline void turn(const float* x, std::size_t groups, float* values) {
  for (std::size_t g = 0; g < lanes; ++g) {
    const float* from = x + (g < groups ? g : groups - 1) * N;
    for (std::size_t i = 0; i < N; ++i) values[i * lanes + g] = from[i];
  }
}

struct Affine {
  Vec scale, minimum;  // x = scale * q - minimum, minimum >= 0
};

// q from 0 to top.  Candidates: scales that spread the range over top + first, + first + step, ...
// levels; for each the best scale and minimum by least squares.
template <int N>
inline Affine fit_affine(const float* x, const float* w, float top, float first, float step,
                         int steps) {
  Vec low = splat(0), high = low, sum_w = low, sum_wx = low, sum_wxx = low;
  for (std::size_t i = 0; i < N; ++i) {
    const Vec xi = load(x + i * lanes), wi = load(w + i * lanes);
    low = vector_min(low, xi);
    high = i == 0 ? xi : vector_max(high, xi);
    sum_w += wi;
    sum_wx += wi * xi;
    sum_wxx += wi * xi * xi;
  }
  const Vec range = high - low;
  const Vec inverse = range > 1e-30f ? 1.0f / range : splat(0);
  Affine best{range / top, -low};
  Vec least = splat(3e38f);
  for (int k = 0; k <= steps; ++k) {
    const Vec scale = inverse * (top + first + step * static_cast<float>(k));
    Vec sum_q = splat(0), sum_qq = sum_q, sum_xq = sum_q;
    for (std::size_t i = 0; i < N; ++i) {
      const Vec xi = load(x + i * lanes), wi = load(w + i * lanes);
      const Vec q = clamped(nearest(scale * (xi - low)), 0, top), wq = wi * q;
      sum_q += wq;
      sum_qq = multiply_add(wq, q, sum_qq);
      sum_xq = multiply_add(wq, xi, sum_xq);
    }
    const Vec determinant = sum_w * sum_qq - sum_q * sum_q;
    Vec s = (sum_w * sum_xq - sum_wx * sum_q) / determinant;
    Vec m = (sum_qq * sum_wx - sum_q * sum_xq) / determinant;
    s = m > 0.0f ? sum_xq / sum_qq : s;
    m = vector_min(m, splat(0));
    const Vec error =
        sum_wxx + s * (s * sum_qq - 2.0f * sum_xq) + m * (m * sum_w + 2.0f * (s * sum_q - sum_wx));
    const auto better = (determinant > 0.0f) & (error < least);
    least = better ? error : least;
    best.scale = better ? s : best.scale;
    best.minimum = better ? -m : best.minimum;
  }
  return best;
}

// The value of the largest size, with its sign, of each lane.
template <int N>
inline Vec extreme(const float* x) {
  Vec most = splat(0), size = most;
  for (std::size_t i = 0; i < N; ++i) {
    const Vec xi = load(x + i * lanes), ai = vector_max(xi, -xi);
    most = ai > size ? xi : most;
    size = vector_max(size, ai);
  }
  return most;
}

// x = scale * q, q from -top to top - 1.
template <int N>
inline Vec fit_symmetric(const float* x, const float* w, float top) {
  constexpr int tries = 9;
  const Vec most = extreme<N>(x);
  const Vec inverse = vector_max(most, -most) > 1e-30f ? -1.0f / most : splat(0);
  Vec best = splat(0), highest = splat(0);
  for (int k = -tries; k <= tries; ++k) {
    const Vec scale = inverse * (top + 0.1f * static_cast<float>(k));
    Vec sum_xq = splat(0), sum_qq = sum_xq;
    for (std::size_t i = 0; i < N; ++i) {
      const Vec xi = load(x + i * lanes);
      const Vec q = clamped(nearest(scale * xi), -top, top - 1), wq = load(w + i * lanes) * q;
      sum_xq = multiply_add(wq, xi, sum_xq);
      sum_qq = multiply_add(wq, q, sum_qq);
    }
    const Vec gain = sum_qq > 0.0f ? sum_xq * sum_xq / sum_qq : splat(0);
    best = gain > highest ? sum_xq / sum_qq : best;
    highest = vector_max(highest, gain);
  }
  return best;
}

// The importance of an error in a value: columns alike count by `plain(x)`, others by
// importance * sqrt(mean square of the block + x * x).
template <typename Plain>
inline void weigh(const float* x, const float* importance, float* w, std::size_t n,
                  std::size_t block, Plain plain) {
  for (std::size_t first = 0; first < n; first += block) {
    const float *xb = x + first, *ib = importance ? importance + first : nullptr;
    float* wb = w + first;
    float squares = 0;
    for (std::size_t i = 0; i < block; ++i) squares += xb[i] * xb[i];
    const float mean = squares / static_cast<float>(block);
    if (ib)
      for (std::size_t i = 0; i < block; ++i) wb[i] = ib[i] * sqrtf(mean + xb[i] * xb[i]);
    else
      for (std::size_t i = 0; i < block; ++i) wb[i] = plain(xb[i], mean);
  }
}

inline float by_square(float x, float) { return x * x; }
inline float by_size(float x, float mean) { return sqrtf(mean) + fabsf(x); }

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
