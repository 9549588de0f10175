// Attention over pages of 32 tokens.  Included after rows.inl, whose exponential it uses.
#include "kernels/attention_pages.inl"

namespace hearth::kernels::HEARTH_ISA {
namespace {

// Fully unrolled by the compiler, so that the sums stay in registers.
template <std::size_t rows, typename Keys>
void score_tile(float* s, const float* q, std::size_t ldq, Keys keys, std::size_t dim) {
  Vec sums[rows][page_vectors] = {};
  for (std::size_t d = 0; d < dim; d += Keys::group) {
    if (d % kv_block_dims == 0) keys.enter(d / kv_block_dims);
#pragma GCC unroll 4
    for (std::size_t j = 0; j < Keys::group; ++j) {
      if (Keys::group > 1 && d + j >= dim) break;
      Vec key[page_vectors];
#pragma GCC unroll 8
      for (std::size_t v = 0; v < page_vectors; ++v) key[v] = keys.read(d, j, v);
#pragma GCC unroll 8
      for (std::size_t r = 0; r < rows; ++r) {
        const Vec x = splat(q[r * ldq + d + j]);
#pragma GCC unroll 8
        for (std::size_t v = 0; v < page_vectors; ++v)
          sums[r][v] = multiply_add(x, key[v], sums[r][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < page_vectors; ++v) store(s + kv_tokens * r + v * lanes, sums[r][v]);
}

template <std::size_t most, typename Keys>
void score_rest(float* s, const float* q, std::size_t ldq, const Keys& keys, std::size_t rows,
                std::size_t dim) {
  if (rows == most) return score_tile<most>(s, q, ldq, keys, dim);
  if constexpr (most > 1) score_rest<most - 1>(s, q, ldq, keys, rows, dim);
}

template <typename Keys>
void score_strips(float* s, const float* q, std::size_t ldq, const Keys& keys, std::size_t rows,
                  std::size_t dim) {
  for (std::size_t r = 0; r < rows; r += score_rows)
    score_rest<score_rows>(s + kv_tokens * r, q + r * ldq, ldq, keys,
                           rows - r < score_rows ? rows - r : score_rows, dim);
}

// Many rows read a page as floats: it is widened once, if the result stays in the first-level
// cache.
constexpr std::size_t most_widened_dim = 128;
struct alignas(64) WidePage {
  float values[kv_tokens * most_widened_dim];
};

template <typename Keys>
void widen_keys(WidePage& page, Keys keys, std::size_t dim) {
  for (std::size_t d = 0; d < dim; d += Keys::group) {
    if (d % kv_block_dims == 0) keys.enter(d / kv_block_dims);
#pragma GCC unroll 4
    for (std::size_t j = 0; j < Keys::group; ++j) {
      if (Keys::group > 1 && d + j >= dim) break;
#pragma GCC unroll 8
      for (std::size_t v = 0; v < page_vectors; ++v)
        store(page.values + kv_tokens * (d + j) + v * lanes, keys.read(d, j, v));
    }
  }
}

template <KvForm form>
void scores(float* s, const float* q, std::size_t ldq, const void* page, std::size_t rows,
            std::size_t dim) {
  const typename Readers<form>::Keys keys(page, dim);
  if constexpr (form != KvForm::f32)
    if (rows > Readers<form>::narrow_rows && dim <= most_widened_dim) {
      WidePage wide;
      widen_keys(wide, keys, dim);
      return score_strips(s, q, ldq, PlainKeys<float>(wide.values, dim), rows, dim);
    }
  score_strips(s, q, ldq, keys, rows, dim);
}

inline Ints lane_numbers() {
  Ints numbers;
  for (std::size_t i = 0; i < lanes; ++i) numbers[i] = static_cast<std::int32_t>(i);
  return numbers;
}

// e^x for x <= 0 or -inf, within 3e-7, relative.
inline Vec decay(Vec x) {
#if HEARTH_LANES == 16
  const Vec limited = vector_max(x, splat(-150.0f));  // e^-150 is 0 in f32
  const Vec shifted = multiply_add(limited, splat(0x1.715476p+0f), splat(0x1.8p23f));
  const Vec n = shifted - 0x1.8p23f;
  Vec r = multiply_add(n, splat(-0x1.62e4p-1f), limited);
  r = multiply_add(n, splat(-0x1.7f7d1cp-20f), r);
  const Vec p = one_less_exponential(r);
  return _mm512_maskz_scalef_ps(0xFFFF, p + 1.0f, n);
#else
  return exponential(x);
#endif
}

// Whether any lane of a is larger than x.
inline bool any_above(Vec a, float x) {
#if HEARTH_LANES == 16
  return _mm512_cmp_ps_mask(a, splat(x), _CMP_GT_OQ) != 0;
#elif HEARTH_LANES == 8
  return _mm256_movemask_ps(_mm256_cmp_ps(a, splat(x), _CMP_GT_OQ)) != 0;
#else
  return largest(a) > x;
#endif
}

// Scores of one vector as they are compared.
inline Vec scored(Vec x, std::size_t v, const SoftmaxStep& step, float inverse_cap) {
  x = x * step.scale;
  if (step.softcap > 0) x = step.softcap * hyperbolic_tangent(x * inverse_cap);
  const Ints t = lane_numbers() + static_cast<std::int32_t>(v * lanes);
  if (step.slope != 0) {
    const Ints distance = t > step.self ? t - step.self : step.self - t;
    x -= step.slope * __builtin_convertvector(distance, Vec);
  }
  if (step.first == 0 && step.last == kv_tokens) return x;
  const Ints visible =
      (t >= static_cast<std::int32_t>(step.first)) & (t < static_cast<std::int32_t>(step.last));
  return visible ? x : splat(-__builtin_inff());
}

// Several rows side by side hide how long each waits for its exponentials.
template <std::size_t rows>
void softmax_tile(float* s, float* max, float* sums, float* factors, const SoftmaxStep& step,
                  float inverse_cap) {
  Vec values[rows][page_vectors], tops[rows];
  bool is_above = false;
#pragma GCC unroll 8
  for (std::size_t r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < page_vectors; ++v) {
      values[r][v] = scored(load(s + kv_tokens * r + v * lanes), v, step, inverse_cap);
      tops[r] = v == 0 ? values[r][0] : vector_max(values[r][v], tops[r]);
    }
    is_above |= any_above(tops[r], max[r]);
  }
  // A new maximum is rare, and finding it among the lanes takes long.
#pragma GCC unroll 8
  for (std::size_t r = 0; r < rows; ++r) factors[r] = 1;
  if (is_above)
    for (std::size_t r = 0; r < rows; ++r) {
      const float before = max[r], top = largest(tops[r]);
      if (!(top > before)) continue;
      factors[r] = exponential(splat(before - top))[0];
      max[r] = top;
    }
  Vec totals[rows] = {};
#pragma GCC unroll 8
  for (std::size_t v = 0; v < page_vectors; ++v) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < rows; ++r) {
      const Vec p = decay(values[r][v] - max[r]);
      store(s + kv_tokens * r + v * lanes, p);
      totals[r] += p;
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < rows; ++r) sums[r] = sums[r] * factors[r] + sum(totals[r]);
}

void softmax_step(float* s, float* max, float* sums, float* factors, std::size_t rows,
                  const SoftmaxStep* step) {
  constexpr std::size_t together = lanes == 16 ? 4 : 1;
  const float inverse_cap = step->softcap > 0 ? 1.0f / step->softcap : 0.0f;
  std::size_t r = 0;
  for (; rows - r >= together; r += together)
    softmax_tile<together>(s + kv_tokens * r, max + r, sums + r, factors + r, *step, inverse_cap);
  for (; r < rows; ++r)
    softmax_tile<1>(s + kv_tokens * r, max + r, sums + r, factors + r, *step, inverse_cap);
}

// `vectors` columns from d on of `rows` rows; rest > 0: only so many lanes of the last one.
template <std::size_t rows, std::size_t vectors, typename Values>
void mix_tile(float* out, std::size_t ldo, const float* factors, const float* p,
              const Values& values, std::size_t d, std::size_t first, std::size_t last,
              std::size_t rest) {
  Vec sums[rows][vectors];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) {
      const float* at = out + r * ldo + d + v * lanes;
      sums[r][v] = (rest ? load_some(at, rest) : load(at)) * factors[r];
    }
  for (std::size_t t = first; t < last; ++t) {
    Vec value[vectors];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) value[v] = values.read(t, d + v * lanes, rest);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < rows; ++r) {
      const Vec weight = splat(p[kv_tokens * r + t]);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < vectors; ++v)
        sums[r][v] = multiply_add(weight, value[v], sums[r][v]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) {
      float* at = out + r * ldo + d + v * lanes;
      if (rest)
        store_some(at, sums[r][v], rest);
      else
        store(at, sums[r][v]);
    }
}

template <std::size_t rows, typename Values>
void mix_strip(float* out, std::size_t ldo, const float* factors, const float* p, Values values,
               std::size_t dim, std::size_t first, std::size_t last) {
  constexpr std::size_t vectors = Values::vectors;
  std::size_t d = 0;
  for (; dim - d >= vectors * lanes; d += vectors * lanes) {
    values.enter(d / kv_block_dims);
    mix_tile<rows, vectors>(out, ldo, factors, p, values, d, first, last, 0);
  }
  if (d == dim) return;
  values.enter(d / kv_block_dims);
  for (; dim - d >= lanes; d += lanes)
    mix_tile<rows, 1>(out, ldo, factors, p, values, d, first, last, 0);
  if (d < dim) mix_tile<rows, 1>(out, ldo, factors, p, values, d, first, last, dim - d);
}

template <std::size_t most, typename Values>
void mix_rest(float* out, std::size_t ldo, const float* factors, const float* p,
              const Values& values, std::size_t rows, std::size_t dim, std::size_t first,
              std::size_t last) {
  if (rows == most) return mix_strip<most>(out, ldo, factors, p, values, dim, first, last);
  if constexpr (most > 1) mix_rest<most - 1>(out, ldo, factors, p, values, rows, dim, first, last);
}

template <typename Values>
void mix_strips(float* out, std::size_t ldo, const float* factors, const float* p,
                const Values& values, std::size_t rows, std::size_t dim, std::size_t first,
                std::size_t last) {
  for (std::size_t r = 0; r < rows; r += Values::rows)
    mix_rest<Values::rows>(out + r * ldo, ldo, factors + r, p + kv_tokens * r, values,
                           rows - r < Values::rows ? rows - r : Values::rows, dim, first, last);
}

template <typename Values>
void widen_values(WidePage& page, Values values, std::size_t dim) {
  for (std::size_t block = 0; block < kv_blocks(dim); ++block) {
    const std::size_t end = dim < (block + 1) * kv_block_dims ? dim : (block + 1) * kv_block_dims;
    values.enter(block);
    for (std::size_t t = 0; t < kv_tokens; ++t)
      for (std::size_t d = block * kv_block_dims; d < end; d += lanes) {
        const std::size_t rest = end - d < lanes ? end - d : 0;
        const Vec value = values.read(t, d, rest);
        if (rest)
          store_some(page.values + t * dim + d, value, rest);
        else
          store(page.values + t * dim + d, value);
      }
  }
}

template <KvForm form>
void mix(float* out, std::size_t ldo, const float* factors, const float* p, const void* page,
         std::size_t rows, std::size_t dim, std::size_t first, std::size_t last) {
  const typename Readers<form>::Values values(page, dim);
  if constexpr (form != KvForm::f32)
    if (rows > Readers<form>::narrow_rows && dim <= most_widened_dim) {
      WidePage wide;
      widen_values(wide, values, dim);
      return mix_strips(out, ldo, factors, p, PlainValues<float>(wide.values, dim), rows, dim,
                        first, last);
    }
  mix_strips(out, ldo, factors, p, values, rows, dim, first, last);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
