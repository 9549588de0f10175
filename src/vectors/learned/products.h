// Matrix products for training, by the kernels of this machine.
#pragma once

#include <cstddef>
#include <vector>

namespace hearth::vectors {

// Row-major, [rows, columns].
struct Table {
  std::size_t rows = 0, columns = 0;
  std::vector<float> values;

  Table() = default;
  Table(std::size_t r, std::size_t c) : rows(r), columns(c), values(r * c) {}
  float* row(std::size_t i) { return values.data() + i * columns; }
  const float* row(std::size_t i) const { return values.data() + i * columns; }
};

Table transposed(const Table& a);

// a * b.  a: [m, k], b: [k, n].
Table product(const Table& a, const Table& b);
// a * transposed(b).  a: [m, k], b: [n, k].
Table product_transposed(const Table& a, const Table& b);

// y[i] = row i of a * x.  x: [a.columns], y: [a.rows].
void multiply_one(float* y, const Table& a, const float* x);

}  // namespace hearth::vectors
