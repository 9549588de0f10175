// Products of matrices of f32, on the kernel table of this machine.
#pragma once

#include "graphs/operators/finish.h"

namespace hearth::graphs {

// c = a * b (+ c when `add`).  c: [m, n], rows ldc apart; a: [m, k] (or [k, m] transposed), b: [k,
// n] (or [n, k] transposed), rows lda and ldb apart.
struct Gemm {
  std::int64_t m, n, k;
  const float* a;
  std::int64_t lda;
  const float* b;
  std::int64_t ldb;
  float* c;
  std::int64_t ldc;
  bool a_transposed = false, b_transposed = false, add = false;
};
void gemm(Machine& machine, const Gemm& g);
// One thread; the oracle of the above.
void gemm_reference(const Gemm& g);

// Writes columns [column, column + columns) of rows [first, first + rows) of a right factor, row
// after row, 16 floats to a row; columns <= 16, and what lies past them is zero.
using FillPanel = std::function<void(float* to, std::int64_t column, std::int64_t columns,
                                     std::int64_t first, std::int64_t rows)>;

// c = a * b + bias of the row; b comes panel by panel.  bias: [m] or null.
struct PanelProduct {
  std::int64_t m, n, k;
  const float* a;
  std::int64_t lda;
  float* c;
  std::int64_t ldc;
  const float* bias = nullptr;
  bool add = false;
};
void multiply_panels(Machine& machine, const PanelProduct& p, const FillPanel& fill);

// A right factor in panels, made once: blocks of rows, each [panel][row][16].
struct PackedRight {
  const void* table = nullptr;  // the kernels that it is for
  std::int64_t k = 0, n = 0;
  Tensor panels;
};
// b: [k, n], or [n, k] when transposed, without gaps.  For machines with a table of kernels alone.
bool can_pack(const Machine& machine);
Result<PackedRight> pack_right(const Machine& machine, const float* b, bool transposed,
                               std::int64_t k, std::int64_t n);

// c = finish(a * b + bias + add).  a: [m, k], rows lda apart; c and add: [m, n]; bias: [n]; bias
// and add may be null.
struct PackedProduct {
  std::int64_t m;
  const float* a;
  std::int64_t lda;
  float* c;
  const float* bias = nullptr;
  const float* add = nullptr;
};
void multiply_packed(Machine& machine, const PackedProduct& p, const PackedRight& right,
                     const Finish& finish);

}  // namespace hearth::graphs
