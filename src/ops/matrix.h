// Matrix: a weight matrix prepared for multiplication by the kernels of this machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "ops/context.h"
#include "tensor/dtype.h"
#include "tensor/view.h"

namespace hearth::ops {

// A stored matrix: `data` holds rows * columns elements, row after row, each row whole blocks.
struct StoredMatrix {
  Dtype dtype;
  std::uint64_t rows, columns;
  std::span<const std::byte> data;
  // `data` lies in a read-only mapping of a file: once repacked, its memory may be given back (it
  // is read from the file again if touched).
  bool file_mapped = false;
};

class LatePacking;

// Immutable; thread-safe.  Movable, not copyable.
class Matrix {
 public:
  Matrix();
  Matrix(Matrix&&) noexcept;
  Matrix& operator=(Matrix&&) noexcept;
  ~Matrix();

  // Repacks into the layout that `ctx.kernels` reads (in parallel over ctx.pool).  Types without a
  // direct layout keep `data` (borrowed: the caller keeps it mapped) and are dequantised panel by
  // panel when used.  Errors: unsupported (no number type), exhausted (memory).
  static Result<Matrix> prepare(Context& ctx, const StoredMatrix& stored);
  // Several as one parallel loop, in one stretch of memory that goes when all of them are gone.
  // With `later` (may be null), those that a file stands behind are packed later, if their type
  // allows it: until then `data` must stay mapped for them too.
  static Result<std::vector<Matrix>> prepare_all(Context& ctx, std::span<const StoredMatrix> stored,
                                                 LatePacking* later);
  static Result<std::vector<Matrix>> prepare_all(Context& ctx,
                                                 std::span<const StoredMatrix> stored);

  std::size_t rows() const;            // N, outputs
  std::size_t columns() const;         // K, inputs
  Dtype dtype() const;                 // as stored
  std::size_t resident_bytes() const;  // memory of our own, beside the file
  bool borrows() const;                // true: `stored.data` must stay mapped

  struct Packed;
  const Packed& packed() const { return *packed_; }

 private:
  std::unique_ptr<const Packed> packed_;
};

// y[i, n] = sum over k of x[i, k] * w[n, k] (+ bias[n]).  x: [M, K]; y: [M, N]; bias: [N] or empty.
// f32 weights are multiplied in f32.  bf16, f16 and quantised ones in the table's own tier: see
// kernels.h for the tolerance of each.  y does not overlap x.
void matmul(Context& ctx, View y, View x, const Matrix& w, std::span<const float> bias = {});

// y += x * w^T.
void matmul_add(Context& ctx, View y, View x, const Matrix& w, std::span<const float> bias = {});

// Several matrices over the same input, as one parallel loop (QKV; gate and up).  At most 4.
struct MatmulJob {
  View y;
  const Matrix* w;
  std::span<const float> bias;
};
void matmul_many(Context& ctx, std::span<const MatmulJob> jobs, View x);

// Mixture of experts: for every pair p, y[p] = x[pairs[p].row] * w[pairs[p].expert]^T.
// `pairs` are sorted by expert.  y: [pairs, N].
struct ExpertPair {
  std::uint32_t row, expert;
};
void matmul_experts(Context& ctx, View y, View x, std::span<const Matrix> experts,
                    std::span<const ExpertPair> pairs);

// Rows of a stored table as f32: y[i] = table[ids[i]].  ids are in range.
void gather_rows(Context& ctx, View y, const StoredMatrix& table,
                 std::span<const std::int32_t> ids);

}  // namespace hearth::ops
