#include "kernels/states_select.h"

#include "kernels/runs_here.h"

namespace hearth::kernels {

extern const StateKernels portable_state_table;
#if defined(__x86_64__)
extern const StateKernels avx2_state_table, avx512_state_table;
#endif

std::span<const StateCandidate> state_candidates() {
  static constexpr StateCandidate list[] = {
#if defined(__x86_64__)
      {&avx512_state_table, avx512_runs},
      {&avx2_state_table, avx2_runs},
#endif
      {&portable_state_table, always},
  };
  return list;
}

const StateKernels& state_kernels_beside(std::string_view name) {
  name = without_products(name);
  for (const StateCandidate& candidate : state_candidates())
    if (candidate.table->name == name && candidate.supported()) return *candidate.table;
  return portable_state_table;
}

namespace {

void read(float* y, const float* s, const float* a, std::size_t rows, std::size_t columns) {
  for (std::size_t j = 0; j < columns; ++j) {
    double sum = 0;
    for (std::size_t i = 0; i < rows; ++i) sum += static_cast<double>(a[i]) * s[i * columns + j];
    y[j] = static_cast<float>(sum);
  }
}

void update(float* y, float* s, const StateStep* step, std::size_t rows, std::size_t columns) {
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j)
      s[i * columns + j] = step->decay * s[i * columns + j] + step->a[i] * step->u[j];
  read(y, s, step->b, rows, columns);
}

void update_two(float* y, float* s, const TwoStep* step, std::size_t rows, std::size_t columns) {
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j)
      s[i * columns + j] =
          step->decay[i] * s[i * columns + j] + step->a[i] * step->u[j] + step->c[i] * step->v[j];
  read(y, s, step->b, rows, columns);
}

void multiply(const StateProduct* p) {
  for (std::size_t i = 0; i < p->rows; ++i)
    for (std::size_t j = 0; j < p->columns; ++j) {
      float& y = p->y[i * p->y_step + j];
      double sum = 0;
      for (std::size_t k = 0; k < p->terms; ++k)
        sum += static_cast<double>(p->a[i * p->a_row_step + k * p->a_term_step]) *
               (p->term_factors != nullptr ? p->term_factors[k] : 1.0f) * p->b[k * p->b_step + j];
      if (p->row_factors != nullptr) sum *= p->row_factors[i];
      if (p->held != 0) sum += static_cast<double>(p->held) * y;
      y = static_cast<float>(sum);
    }
}

void convolve(float* y, const float* const* x, const float* w, const float* bias, std::size_t taps,
              std::size_t channels) {
  for (std::size_t c = 0; c < channels; ++c) {
    double sum = bias != nullptr ? bias[c] : 0;
    for (std::size_t k = 0; k < taps; ++k)
      sum += static_cast<double>(w[k * channels + c]) * x[k][c];
    y[c] = static_cast<float>(sum);
  }
}

constexpr StateKernels reference_table = {.name = "reference",
                                          .read = read,
                                          .update = update,
                                          .update_two = update_two,
                                          .multiply = multiply,
                                          .convolve = convolve};

}  // namespace

const StateKernels& state_reference() { return reference_table; }

}  // namespace hearth::kernels
