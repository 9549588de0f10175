// Attention over pages of 32 tokens.  Included after rows.inl, whose exponential it uses.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t page_vectors = 32 / lanes;
constexpr std::size_t score_rows = lanes == 16 ? 8 : lanes == 8 || registers == 32 ? 2 : 1;

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

// Many rows read a page as floats: it is widened once, if the result stays in the first-level
// cache.
constexpr std::size_t most_widened_dim = 128;

inline bool worth_widening(const float*, std::size_t, std::size_t) { return false; }
inline bool worth_widening(const u16*, std::size_t rows, std::size_t dim) {
  return rows > 2 * score_rows && dim <= most_widened_dim;
}

struct alignas(64) WidePage {
  float values[32 * most_widened_dim];

  const float* widen(const float* page, std::size_t) { return page; }
  const float* widen(const u16* page, std::size_t dim) {
    for (std::size_t i = 0; i < 32 * dim; i += lanes) store(values + i, load_halves(page + i));
    return values;
  }
};

template <typename T>
void scores(float* s, const float* q, std::size_t ldq, const void* keys, std::size_t rows,
            std::size_t dim) {
  if (worth_widening(static_cast<const T*>(keys), rows, dim)) {
    WidePage page;
    return scores<float>(s, q, ldq, page.widen(static_cast<const T*>(keys), dim), rows, dim);
  }
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
  const bool all = first == 0 && last == 32;
  Vec values[page_vectors];
  Vec tops = splat(*max);
  for (std::size_t v = 0; v < page_vectors; ++v) {
    const Ints t = lane_numbers() + static_cast<std::int32_t>(v * lanes);
    Vec x = load(s + v * lanes) * step->scale;
    if (step->softcap > 0) x = step->softcap * hyperbolic_tangent(x * inverse_cap);
    if (step->slope != 0) {
      const Ints distance = t > step->self ? t - step->self : step->self - t;
      x -= step->slope * __builtin_convertvector(distance, Vec);
    }
    const Ints visible = (t >= first) & (t < last);
    values[v] = x;
    if (!all) values[v] = visible ? x : hidden;
    tops = vector_max(values[v], tops);
  }
  const float top = largest(tops);
  Vec total = {};
  for (std::size_t v = 0; v < page_vectors; ++v) {
    const Vec p = exponential(values[v] - top);
    store(s + v * lanes, p);
    total += p;
  }
  const float factor = *max == top ? 1.0f : exponential(splat(*max - top))[0];
  *sum_so_far = *sum_so_far * factor + sum(total);
  *max = top;
  return factor;
}

constexpr std::size_t mix_rows = registers == 32 ? 4 : 2;
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
  if (worth_widening(static_cast<const T*>(values), rows, dim)) {
    WidePage page;
    return mix<float>(out, ldo, factors, p, page.widen(static_cast<const T*>(values), dim), rows,
                      dim, first, last);
  }
  const T* from = static_cast<const T*>(values);
  std::size_t r = 0;
  for (; rows - r >= mix_rows; r += mix_rows)
    mix_strip<mix_rows>(out + r * ldo, ldo, factors + r, p + 32 * r, from, dim, first, last);
  for (; r < rows; ++r)
    mix_strip<1>(out + r * ldo, ldo, factors + r, p + 32 * r, from, dim, first, last);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
