// State kernels: what recurrent heads do with their state from token to token.  A state is a matrix
// of [rows][columns], row after row; every entry is as those of kernels.h, tolerance 1e-5 of the
// sum of the terms' sizes.
#pragma once

#include <cstddef>

namespace hearth::kernels {

// One token of one head: s = decay * s + a u^T, then y = s^T b.
struct StateStep {
  float decay;
  const float* a;  // [rows]
  const float* u;  // [columns]
  const float* b;  // [rows]
};

// The same where every row decays at a rate of its own and takes up two products:
// s[i] = decay[i] * s[i] + a[i] u + c[i] v, then y = s^T b.
struct TwoStep {
  const float* decay;  // [rows]
  const float* a;      // [rows]
  const float* u;      // [columns]
  const float* c;      // [rows]
  const float* v;      // [columns]
  const float* b;      // [rows]
};

// y[i, j] = held * y[i, j] + row[i] * sum over k of a[i, k] * term[k] * b[k, j], for rows that are
// worked on together.  Neighbours in a row of y and b lie side by side, those of a as its steps
// say.
struct StateProduct {
  float* y;
  std::size_t y_step;  // floats from row to row
  const float* a;
  std::size_t a_row_step, a_term_step;
  const float* b;
  std::size_t b_step;
  std::size_t rows, terms, columns;
  float held = 0;                       // 0: y may hold anything
  const float* row_factors = nullptr;   // null: ones
  const float* term_factors = nullptr;  // null: ones
};

struct StateKernels {
  const char* name;  // "avx2"

  // y[j] = sum over i of a[i] * s[i, j].
  void (*read)(float* y, const float* s, const float* a, std::size_t rows, std::size_t columns);
  void (*update)(float* y, float* s, const StateStep* step, std::size_t rows, std::size_t columns);
  void (*update_two)(float* y, float* s, const TwoStep* step, std::size_t rows,
                     std::size_t columns);
  void (*multiply)(const StateProduct* product);
  // y[c] = bias[c] + sum over k of w[k, c] * x[k][c]; bias may be null.  w: [taps][channels].
  void (*convolve)(float* y, const float* const* x, const float* w, const float* bias,
                   std::size_t taps, std::size_t channels);
};

// Slow, obvious, right.  Every other table is tested against it.
const StateKernels& state_reference();

}  // namespace hearth::kernels
