#include "vectors/learned/products.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "kernels/select.h"

namespace hearth::vectors {
namespace {

using kernels::Gemm;
using kernels::panel_rows;

const kernels::Kernels& table() {
  static const kernels::Kernels* const best = *kernels::choose("");
  return *best;
}

std::size_t up_to(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Kernels want 64-byte alignment.
class Space {
 public:
  explicit Space(std::size_t bytes) : memory_(bytes / sizeof(float) + 32) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    start_ = reinterpret_cast<std::byte*>((address + 63) / 64 * 64);
  }
  std::byte* get() { return start_; }
  float* floats() { return reinterpret_cast<float*>(start_); }

 private:
  std::vector<float> memory_;
  std::byte* start_;
};

// panels: [ceil(n / 16)][k][16] of what at(k, n) gives.
template <typename At>
void fill_panels(float* panels, std::size_t n, std::size_t k, At at) {
  for (std::size_t first = 0; first < n; first += panel_rows, panels += k * panel_rows)
    for (std::size_t j = 0; j < k; ++j)
      for (std::size_t l = 0; l < panel_rows; ++l)
        panels[j * panel_rows + l] = first + l < n ? at(j, first + l) : 0;
}

Table multiply(const Table& a, const float* panels, std::size_t n) {
  const Gemm& g = *table().plain;
  const std::size_t m = a.rows, k = a.columns, count = up_to(n, panel_rows) / panel_rows;
  const std::size_t steps = kernels::block_columns / g.k_step + 1, ldc = count * panel_rows;
  Space packed(up_to(m, g.tile_rows) * steps * g.a_step_bytes);
  Space unpacked(count * steps * g.b_step_bytes);
  Space sums(up_to(m, g.tile_rows) * ldc * sizeof(float));
  for (std::size_t first = 0; first < k; first += kernels::block_columns) {
    const std::size_t columns = std::min(kernels::block_columns, k - first);
    const std::size_t block_steps = (columns + g.k_step - 1) / g.k_step;
    g.pack(packed.get(), a.values.data() + first, k, m, columns);
    for (std::size_t p = 0; p < count; ++p)
      g.unpack(kernels::Panel::f32, unpacked.get() + p * block_steps * g.b_step_bytes,
               panels + p * k * panel_rows, first, columns);
    g.block(kernels::Panel::f32, sums.floats(), ldc, packed.get(), unpacked.get(), m, columns,
            count, nullptr);
  }
  Table c(m, n);
  for (std::size_t i = 0; i < m; ++i)
    std::memcpy(c.row(i), sums.floats() + i * ldc, n * sizeof(float));
  return c;
}

}  // namespace

Table transposed(const Table& a) {
  Table t(a.columns, a.rows);
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t j = 0; j < a.columns; ++j) t.row(j)[i] = a.row(i)[j];
  return t;
}

Table product(const Table& a, const Table& b) {
  HEARTH_CHECK(a.columns == b.rows);
  Space panels(up_to(b.columns, panel_rows) * b.rows * sizeof(float));
  fill_panels(panels.floats(), b.columns, b.rows,
              [&](std::size_t k, std::size_t n) { return b.row(k)[n]; });
  return multiply(a, panels.floats(), b.columns);
}

void multiply_one(float* y, const Table& a, const float* x) {
  for (std::size_t i = 0; i < a.rows; ++i) y[i] = table().dot(a.row(i), x, a.columns);
}

Table product_transposed(const Table& a, const Table& b) {
  HEARTH_CHECK(a.columns == b.columns);
  Space panels(up_to(b.rows, panel_rows) * b.columns * sizeof(float));
  fill_panels(panels.floats(), b.rows, b.columns,
              [&](std::size_t k, std::size_t n) { return b.row(n)[k]; });
  return multiply(a, panels.floats(), b.rows);
}

}  // namespace hearth::vectors
