#include "models/mixer_chunks.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"

namespace hearth::models {

PairProducts::PairProducts(const Mix& mix, View x, std::size_t left, std::size_t right)
    : groups_(mix.hyper.groups), tables_(mix.arena.take<float*>(mix.runs.size())) {
  constexpr std::size_t each = chunk_rows * chunk_rows;
  const std::size_t width = mix.hyper.state;
  struct Task {
    Chunk chunk;
    std::size_t group;
    float* out;
  };
  std::vector<Task> tasks;
  for (std::size_t r = 0; r < mix.runs.size(); ++r) {
    const RowRun& run = mix.runs[r];
    if (!is_chunked(mix, run)) continue;
    const std::size_t chunks = (run.count + chunk_rows - 1) / chunk_rows;
    tables_[r] = mix.arena.take<float>(chunks * groups_ * each).data();
    each_chunk(run, [&](Chunk chunk, std::size_t number) {
      for (std::size_t group = 0; group < groups_; ++group)
        tasks.push_back({chunk, group, tables_[r] + (number * groups_ + group) * each});
    });
  }
  mix.ctx.pool->parallel_for(tasks.size(), 1, [&](std::size_t begin, std::size_t end, int) {
    std::vector<float> turned(width * chunk_rows);
    for (std::size_t t = begin; t < end; ++t) {
      const auto& [chunk, group, out] = tasks[t];
      const View part = x.slice_rows(chunk.first, chunk.count);
      for (std::size_t i = 0; i < chunk.count; ++i)
        for (std::size_t k = 0; k < width; ++k)
          turned[k * chunk_rows + i] = part.row(i)[right + group * width + k];
      const kernels::StateProduct product{.y = out,
                                          .y_step = chunk_rows,
                                          .a = part.data + left + group * width,
                                          .a_row_step = part.stride,
                                          .a_term_step = 1,
                                          .b = turned.data(),
                                          .b_step = chunk_rows,
                                          .rows = chunk.count,
                                          .terms = width,
                                          .columns = chunk.count};
      mix.kernels.multiply(&product);
    }
  });
}

Fading::Fading(const kernels::Kernels& kernels, std::span<const float> logs)
    : kernels_(kernels), below_(logs.size()) {
  double sum = 0;
  for (std::size_t i = 0; i < logs.size(); ++i) below_[i] = sum -= static_cast<double>(logs[i]);
}

// The largest of these exponentials is e^0, the row's own: softmax gives each over their sum.
void Fading::to(std::size_t row, float* out) const {
  for (std::size_t i = 0; i <= row; ++i) out[i] = static_cast<float>(below_[i] - below_[row]);
  kernels_.softmax(out, row + 1);
  kernels_.scale(out, 1 / out[row], row + 1);
}

void Fading::from_state(float* out) const {
  for (std::size_t i = 0; i < below_.size(); ++i) out[i] = static_cast<float>(std::exp(-below_[i]));
}

float Fading::whole() const { return static_cast<float>(std::exp(-below_.back())); }

void fade_pairs(const Fading& fading, std::size_t rows, const float* pairs, float* m) {
  for (std::size_t i = 0; i < rows; ++i) {
    float* row = m + i * chunk_rows;
    fading.to(i, row);
    for (std::size_t j = 0; j <= i; ++j) row[j] *= pairs[i * chunk_rows + j];
    std::fill(row + i + 1, row + rows, 0.0f);
  }
}

void add_to_state(const Mix& mix, float* state, const Fading& fading, const float* keys,
                  std::size_t key_step, View given, const float* factors) {
  float left[chunk_rows];
  fading.to(given.rows - 1, left);
  for (std::size_t i = 0; factors != nullptr && i < given.rows; ++i) left[i] *= factors[i];
  const kernels::StateProduct product{.y = state,
                                      .y_step = given.dim,
                                      .a = keys,
                                      .a_row_step = 1,
                                      .a_term_step = key_step,
                                      .b = given.data,
                                      .b_step = given.stride,
                                      .rows = mix.hyper.state,
                                      .terms = given.rows,
                                      .columns = given.dim,
                                      .held = fading.whole(),
                                      .term_factors = left};
  mix.kernels.multiply(&product);
}

namespace {

constexpr std::size_t band_rows = 12;  // that share most of their terms

// y += m x for rows [first, first + rows) of m and y, and terms [from, to) of x.
void multiply_band(const Mix& mix, View y, const float* m, View x, Chunk rows, std::size_t from,
                   std::size_t to) {
  if (from == to) return;
  const kernels::StateProduct product{.y = y.row(rows.first),
                                      .y_step = y.stride,
                                      .a = m + rows.first * chunk_rows + from,
                                      .a_row_step = chunk_rows,
                                      .a_term_step = 1,
                                      .b = x.row(from),
                                      .b_step = x.stride,
                                      .rows = rows.count,
                                      .terms = to - from,
                                      .columns = x.dim,
                                      .held = 1};
  mix.kernels.multiply(&product);
}

}  // namespace

void add_lower(const Mix& mix, View y, const float* m, View x) {
  for (std::size_t first = 0; first < y.rows; first += band_rows) {
    const std::size_t count = std::min(band_rows, y.rows - first);
    multiply_band(mix, y, m, x, {first, count}, 0, first + count);
  }
}

void solve_lower(const Mix& mix, View x, const float* m) {
  for (std::size_t first = 0; first < x.rows; first += band_rows) {
    const std::size_t count = std::min(band_rows, x.rows - first);
    multiply_band(mix, x, m, x, {first, count}, 0, first);
    for (std::size_t i = first + 1; i < first + count; ++i)
      multiply_band(mix, x, m, x, {i, 1}, first, i);
  }
}

}  // namespace hearth::models
