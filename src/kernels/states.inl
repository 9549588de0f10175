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

// Columns [0, lanes), or `rest` > 0 of them.
void update_two_strip(float* y, float* s, const TwoStep& step, std::size_t first, std::size_t rows,
                      std::size_t columns, std::size_t rest) {
  const auto fetch = [rest](const float* p) { return rest ? load_some(p, rest) : load(p); };
  Vec sum = {};
  const Vec u = fetch(step.u + first), v = fetch(step.v + first);
  for (std::size_t i = 0; i < rows; ++i) {
    float* at = s + i * columns + first;
    const Vec kept = multiply_add(splat(step.a[i]), u, splat(step.decay[i]) * fetch(at));
    const Vec x = multiply_add(splat(step.c[i]), v, kept);
    rest ? store_some(at, x, rest) : store(at, x);
    sum = multiply_add(splat(step.b[i]), x, sum);
  }
  rest ? store_some(y + first, sum, rest) : store(y + first, sum);
}

void update_two(float* y, float* s, const TwoStep* step, std::size_t rows, std::size_t columns) {
  std::size_t c = 0;
  for (; columns - c >= lanes; c += lanes) update_two_strip(y, s, *step, c, rows, columns, 0);
  if (c < columns) update_two_strip(y, s, *step, c, rows, columns, columns - c);
}

constexpr std::size_t product_vectors = registers == 32 ? 4 : 2, product_rows = 6;

// `rows` rows of `vectors` vectors, or of `rest` > 0 columns.
template <std::size_t rows, std::size_t vectors>
void multiply_tile(const StateProduct& p, std::size_t row, std::size_t column, std::size_t rest) {
  Vec sums[rows][vectors] = {};
  const float* a = p.a + row * p.a_row_step;
  const float* b = p.b + column;
  for (std::size_t k = 0; k < p.terms; ++k, a += p.a_term_step, b += p.b_step) {
    Vec values[vectors];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < vectors; ++v)
      values[v] = rest ? load_some(b, rest) : load(b + v * lanes);
#pragma GCC unroll 6
    for (std::size_t r = 0; r < rows; ++r) {
      const float held = a[r * p.a_row_step];
      const Vec factor = splat(p.term_factors ? held * p.term_factors[k] : held);
#pragma GCC unroll 4
      for (std::size_t v = 0; v < vectors; ++v)
        sums[r][v] = multiply_add(factor, values[v], sums[r][v]);
    }
  }
#pragma GCC unroll 6
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (std::size_t v = 0; v < vectors; ++v) {
      float* y = p.y + (row + r) * p.y_step + column + v * lanes;
      if (p.row_factors) sums[r][v] *= splat(p.row_factors[row + r]);
      if (p.held != 0)
        sums[r][v] = multiply_add(splat(p.held), rest ? load_some(y, rest) : load(y), sums[r][v]);
      rest ? store_some(y, sums[r][v], rest) : store(y, sums[r][v]);
    }
}

template <std::size_t vectors>
void multiply_strip(const StateProduct& p, std::size_t column, std::size_t rest) {
  std::size_t row = 0;
  for (; p.rows - row >= product_rows; row += product_rows)
    multiply_tile<product_rows, vectors>(p, row, column, rest);
  for (; p.rows - row >= 2; row += 2) multiply_tile<2, vectors>(p, row, column, rest);
  if (row < p.rows) multiply_tile<1, vectors>(p, row, column, rest);
}

void multiply(const StateProduct* product) {
  const StateProduct& p = *product;
  std::size_t c = 0;
  for (; p.columns - c >= product_vectors * lanes; c += product_vectors * lanes)
    multiply_strip<product_vectors>(p, c, 0);
  for (; p.columns - c >= lanes; c += lanes) multiply_strip<1>(p, c, 0);
  if (c < p.columns) multiply_strip<1>(p, c, p.columns - c);
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
  return {.name = name,
          .read = read,
          .update = update,
          .update_two = update_two,
          .multiply = multiply,
          .convolve = convolve};
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
