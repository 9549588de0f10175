// State kernels; see states.h.  Included after vectors.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t strip_vectors = 4;

// Columns [0, vectors * lanes) of a state whose rows lie `columns` apart; `rest` > 0: only so many
// lanes of the last vector.
template <std::size_t vectors>
void read_strip(float* y, const float* s, const float* a, std::size_t rows, std::size_t columns,
                std::size_t rest) {
  Vec sums[vectors] = {};
  for (std::size_t i = 0; i < rows; ++i, s += columns) {
    const Vec factor = splat(a[i]);
#pragma GCC unroll 4
    for (std::size_t v = 0; v < vectors; ++v) {
      const Vec x = rest ? load_some(s + v * lanes, rest) : load(s + v * lanes);
      sums[v] = multiply_add(factor, x, sums[v]);
    }
  }
#pragma GCC unroll 4
  for (std::size_t v = 0; v < vectors; ++v)
    rest ? store_some(y + v * lanes, sums[v], rest) : store(y + v * lanes, sums[v]);
}

template <std::size_t vectors>
void update_strip(float* y, float* s, const StateStep& step, const float* u, std::size_t rows,
                  std::size_t columns, std::size_t rest) {
  Vec sums[vectors] = {}, added[vectors];
#pragma GCC unroll 4
  for (std::size_t v = 0; v < vectors; ++v)
    added[v] = rest ? load_some(u + v * lanes, rest) : load(u + v * lanes);
  const Vec decay = splat(step.decay);
  for (std::size_t i = 0; i < rows; ++i, s += columns) {
    const Vec a = splat(step.a[i]), b = splat(step.b[i]);
#pragma GCC unroll 4
    for (std::size_t v = 0; v < vectors; ++v) {
      float* at = s + v * lanes;
      const Vec x = multiply_add(a, added[v], decay * (rest ? load_some(at, rest) : load(at)));
      rest ? store_some(at, x, rest) : store(at, x);
      sums[v] = multiply_add(b, x, sums[v]);
    }
  }
#pragma GCC unroll 4
  for (std::size_t v = 0; v < vectors; ++v)
    rest ? store_some(y + v * lanes, sums[v], rest) : store(y + v * lanes, sums[v]);
}

void read(float* y, const float* s, const float* a, std::size_t rows, std::size_t columns) {
  std::size_t c = 0;
  for (; columns - c >= strip_vectors * lanes; c += strip_vectors * lanes)
    read_strip<strip_vectors>(y + c, s + c, a, rows, columns, 0);
  for (; columns - c >= lanes; c += lanes) read_strip<1>(y + c, s + c, a, rows, columns, 0);
  if (c < columns) read_strip<1>(y + c, s + c, a, rows, columns, columns - c);
}

void update(float* y, float* s, const StateStep* step, std::size_t rows, std::size_t columns) {
  const float* u = step->u;
  std::size_t c = 0;
  for (; columns - c >= strip_vectors * lanes; c += strip_vectors * lanes)
    update_strip<strip_vectors>(y + c, s + c, *step, u + c, rows, columns, 0);
  for (; columns - c >= lanes; c += lanes)
    update_strip<1>(y + c, s + c, *step, u + c, rows, columns, 0);
  if (c < columns) update_strip<1>(y + c, s + c, *step, u + c, rows, columns, columns - c);
}

void convolve(float* y, const float* const* x, const float* w, const float* bias, std::size_t taps,
              std::size_t channels) {
  each(channels, [=](std::size_t i, auto fetch, auto write) {
    Vec sum = bias ? fetch(bias + i) : Vec{};
    for (std::size_t k = 0; k < taps; ++k)
      sum = multiply_add(fetch(w + k * channels + i), fetch(x[k] + i), sum);
    write(y + i, sum);
  });
}

constexpr StateKernels make_state_table(const char* name) {
  return {.name = name, .read = read, .update = update, .convolve = convolve};
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
