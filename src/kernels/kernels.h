// Kernels: the inner loops, one table of them per instruction set.
//
// A kernel reads and writes plain arrays. It does not allocate, throw, log or check:
// ops/ checks once and then calls. For every entry:
//   - pointers may be unaligned (panels and packed blocks are 64-byte aligned); outputs do not
//     overlap inputs unless it says so;
//   - n may be 0 and need not be a multiple of anything unless it says so;
//   - sums are kept in f32 and agree with reference.cpp to the tolerance given;
//   - what is computed for one row never depends on how many rows there are.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kv_page.h"
#include "kernels/panels.h"

namespace hearth::kernels {

// Memory that is read next: two runs of so many bytes.
struct Ahead {
  const void* at[2];
  std::size_t bytes;
};

// Multiplication of many rows: C += A * B.  A: rows of activations, packed; B: panels, unpacked;
// both in blocks of at most `block_columns` columns.  Columns come in steps of `k_step`; a block
// that ends within a step is filled up with zeros.
struct Gemm {
  std::uint32_t kinds;       // a bit for each kind of panel that it takes
  std::size_t most_rows;     // of a block, so that it stays in the second-level cache
  std::size_t most_panels;   // unpacked together, so that they stay in the first or second
  std::size_t tile_rows;     // A is packed, and C written, in whole tiles of so many rows
  std::size_t k_step;        // 1 to 32
  std::size_t a_step_bytes;  // of one row and step of packed A
  std::size_t b_step_bytes;  // of one panel and step of unpacked B
  float tolerance;           // of a product, as a share of the norm of its terms

  // x: [m, k], rows ldx apart.
  void (*pack)(void* a, const float* x, std::size_t ldx, std::size_t m, std::size_t k);

  // Columns [first, first + k) of one panel.  first is a multiple of 256.
  void (*unpack)(Panel kind, void* b, const void* panel, std::size_t first, std::size_t k);

  // The same from 16 rows of k floats, ld apart: for types without a panel of their own.  Null in
  // `rounded`.
  void (*unpack_rows)(void* b, const float* rows, std::size_t ld, std::size_t k);

  // c[i, n] += sum over k of a[i, k] * b[k, n], n < 16 * panels.  Columns are added in ascending
  // order.  c: rows ldc apart, as many as packed.  ahead: null, or what may be asked for meanwhile.
  void (*block)(Panel kind, float* c, std::size_t ldc, const void* a, const void* b, std::size_t m,
                std::size_t k, std::size_t panels, const Ahead* ahead);

  // Few rows by panels as they lie: y[i, n] = sum over k of x[i, k] * w[n, k] for the 16 * count
  // outputs of panels that follow one another; x: m rows, packed in one block by `pack_few`,
  // 1 <= m <= `most_few`; as much memory as `pack` writes may be read.  y: rows ldy apart.  Equal
  // to pack, unpack and block bit for bit.  Null but for groups.
  void (*few)(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
              const void* panels, std::size_t count, std::size_t k);
  std::size_t most_few;  // few_rows to several_rows; 0: none
  // As `pack`; where most_few is more than few_rows, in the order [k / k_step][m].
  void (*pack_few)(void* a, const float* x, std::size_t ldx, std::size_t m, std::size_t k);
};
constexpr std::size_t block_columns = 512;

// Rows of scores of a page of keys, made into probabilities.
struct SoftmaxStep {
  float scale;                // of the scores
  float softcap;              // > 0: s = cap * tanh(s / cap)
  float slope;                // s -= slope * |t - self|
  std::int32_t self;          // the row's own place, counted from the page's first token
  std::uint32_t first, last;  // visible tokens of the page: [first, last), first < last <= 32
};

enum class Curve : std::uint8_t {
  silu,
  gelu,
  gelu_tanh,
  quick_gelu,
  relu,
  relu_squared,
  tanh,
  sigmoid
};
constexpr std::size_t curves = 8;

struct Kernels {
  const char* name;  // "avx2"; what --cpu takes and the log prints

  // Sum over i of a[i] * b[i].  a, b: [n].  Tolerance 1e-5 of the sum of |a[i] * b[i]|.
  float (*dot)(const float* a, const float* b, std::size_t n);

  // As Gemm::few, for panels of floats; x: rows ldx apart.  Equal to `plain` bit for bit.
  void (*few)(Panel kind, float* y, std::size_t ldy, const float* x, std::size_t ldx, std::size_t m,
              const void* panels, std::size_t count, std::size_t k);

  const Gemm* plain;  // in f32, fused where the machine can; tolerance 1e-5.  For panels of floats
  // For panels of groups.  Activations are rounded to whole numbers, one scale for each group of
  // columns: of 16 bits, tolerance 1e-4, and of 8 bits, 2e-2 (sums of many terms are near 5e-3).
  // Where a table has no such thing they compute in f32, as `plain` does; kinds that `bytes` does
  // not take are for `rounded`.
  const Gemm* rounded;
  const Gemm* bytes;
  const Gemm* tiles;  // null: none.  For every kind but f32.  Both factors are rounded to bf16;
                      // tolerance 1e-2 (sums of many terms are near 3e-3)

  // y[i] = x[i] * w[i] / sqrt(mean(x * x) + eps); w null: ones.  n > 0; y may be x.  1e-5.
  void (*rms_norm)(float* y, const float* x, const float* w, std::size_t n, float eps);
  // y = (x - mean) / sqrt(variance + eps) * w + b; w, b may be null.  n > 0; y may be x.  1e-5.
  void (*layer_norm)(float* y, const float* x, const float* w, const float* b, std::size_t n,
                     float eps);
  // y = x / max(|x|, eps).  y may be x.  1e-5.
  void (*l2_norm)(float* y, const float* x, std::size_t n, float eps);

  // Turns pairs (x[i], x[i + half]), or (x[2i], x[2i + 1]), by the angle of cosines[i], sines[i].
  void (*rope_halves)(float* x, const float* cosines, const float* sines, std::size_t half);
  void (*rope_pairs)(float* x, const float* cosines, const float* sines, std::size_t half);

  // x = f(x); gate = f(gate) * up.  Tolerance 2e-6 of max(1, |x|); gelu 1e-5.
  void (*activate[curves])(float* x, std::size_t n);
  void (*activate_mul[curves])(float* gate, const float* up, std::size_t n);
  // g = min(gate, limit), u = clamp(up, -limit, limit); gate = g * sigmoid(alpha * g) * (u + 1).
  void (*swiglu_clamped)(float* gate, const float* up, std::size_t n, float alpha, float limit);

  void (*add)(float* x, const float* y, std::size_t n);  // x += y
  void (*scale)(float* x, float factor, std::size_t n);  // x *= factor
  void (*softcap)(float* x, float cap, std::size_t n);   // x = cap * tanh(x / cap); 2e-6
  void (*softmax)(float* x, std::size_t n);              // n > 0.  2e-6
  void (*to_half)(std::uint16_t* y, const float* x, std::size_t n);  // nearest even; exact

  // Attention over pages of 32 tokens, by KvForm (kv_page.h).  q: [rows, dim], rows ldq apart.
  // s[r, t] = sum over d of q[r, d] * keys[d, t], all 32 t.  s: [rows, 32].  Tolerance 1e-5.
  void (*scores[kv_forms])(float* s, const float* q, std::size_t ldq, const void* keys,
                           std::size_t rows, std::size_t dim);
  // Scores of rows that see the same tokens to exp(score - max) (0 where not visible), with each
  // row's maximum and sum over all pages so far; factors: what its earlier sums must be multiplied
  // by.  s: [rows, 32].  2e-6 relative.  Before the first page: max is -inf and sum 0.
  // Source: Milakov and Gimelshein 2018.
  void (*softmax_step)(float* s, float* max, float* sums, float* factors, std::size_t rows,
                       const SoftmaxStep* step);
  // out[r] = out[r] * factors[r] + sum over t in [first, last) of p[r, t] * values[t].
  // out: rows ldo apart; p: [rows, 32].  Tolerance 1e-5.
  void (*mix[kv_forms])(float* out, std::size_t ldo, const float* factors, const float* p,
                        const void* values, std::size_t rows, std::size_t dim, std::size_t first,
                        std::size_t last);
};
constexpr std::size_t few_rows = 4, several_rows = 16;

// Slow, obvious, right.  Every other table is tested against it.
const Kernels& reference();

}  // namespace hearth::kernels
