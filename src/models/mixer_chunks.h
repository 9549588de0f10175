// Recurrent heads over rows of a prompt in chunks: what rows of a chunk do to one another, and what
// the state does to them, are products of matrices.  Token by token is the same to rounding.
// Source: Dao and Gu 2024, section 6; Yang et al. 2024 (Gated Delta Networks), section 3.3.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "models/mixer_parts.h"

namespace hearth::models {

constexpr std::size_t chunk_rows = 64;
// Runs of fewer rows go token by token.
constexpr std::size_t fewest_chunked = 16;

// Whether a run goes in chunks.  Where every row must be what it is alone, none does, nor does one
// with guesses.
inline bool is_chunked(const Mix& mix, const RowRun& run) {
  return run.count >= fewest_chunked && run.guesses == 0 && !mix.ctx.deterministic;
}

// Rows [first, first + count) of the step, at most chunk_rows.
struct Chunk {
  std::size_t first, count;
};

// Calls f(chunk, its number) for those of a run, in order.
template <typename F>
void each_chunk(const RowRun& run, F f) {
  for (std::size_t at = 0; at < run.count; at += chunk_rows)
    f(Chunk{run.first + at, std::min(chunk_rows, run.count - at)}, at / chunk_rows);
}

// Products of vectors that groups of heads have in common, for all pairs of rows of a chunk.
class PairProducts {
 public:
  // Of `width` columns from `left + group * width` with those from `right + group * width`.
  PairProducts(const Mix& mix, View x, std::size_t left, std::size_t right);
  // Row i: the products of the chunk's row i with its rows.
  const float* of(std::size_t run, std::size_t chunk, std::size_t group) const {
    return tables_[run] + (chunk * groups_ + group) * chunk_rows * chunk_rows;
  }

 private:
  std::size_t groups_;
  std::span<float*> tables_;
};

// How much of what one row of a chunk gave is left at a later one.
class Fading {
 public:
  // logs: of each row's decay, at most 0.
  Fading(const kernels::Kernels& kernels, std::span<const float> logs);
  // out[i]: from row i to `row`, i <= row.
  void to(std::size_t row, float* out) const;
  // out[i]: from what was before the chunk to row i.
  void from_state(float* out) const;
  float whole() const;

 private:
  const kernels::Kernels& kernels_;
  std::vector<double> below_;  // minus the sums of logs
};

// m[i, j] = pairs[i, j] * fading of row j at row i for j <= i, and 0 above, in chunk_rows columns.
void fade_pairs(const Fading& fading, std::size_t rows, const float* pairs, float* m);

// y += m x for a lower triangular m of chunk_rows columns.  y, x: [rows], as views.
void add_lower(const Mix& mix, View y, const float* m, View x);

// x = x + m x, row after row, for m below its diagonal.
void solve_lower(const Mix& mix, View x, const float* m);

// A chunk's end: s = s faded + sum over its rows of factor * key given^T, faded.  state:
// [keys][given.dim]; keys of a row lie key_step floats behind those of the one before; factors: of
// rows, or null.
void add_to_state(const Mix& mix, float* state, const Fading& fading, const float* keys,
                  std::size_t key_step, View given, const float* factors);

}  // namespace hearth::models
