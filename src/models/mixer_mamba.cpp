// Mamba-2.  Source: Dao and Gu 2024.
#include <algorithm>
#include <cmath>
#include <vector>

#include "models/mixer_chunks.h"

namespace hearth::models {
namespace {

// How far one head's state moves at a row.
float step_of(const Mix& mix, std::size_t head, float raw) {
  const float step = softplus(raw + mix.layer[Role::mixer_step].values[head]);
  if (mix.hyper.step_max <= 0) return step;
  return std::clamp(step, mix.hyper.step_min, mix.hyper.step_max);
}

// y = s^T c + D x of one head, for all rows of a run.
void mamba_rows(const Mix& mix, const RowRun& run, std::size_t head, View channels, View steps,
                View y) {
  const MixerHyper& hyper = mix.hyper;
  const std::size_t dim = hyper.head_dim, group = group_of(hyper, head);
  const float decay = mix.layer[Role::mixer_decay].values[head];
  const float skip = mix.layer[Role::mixer_skip].values[head];
  float* state = state_of(mix, run, head);
  std::vector<float> scaled(dim);
  for (std::size_t i = run.first; i < run.first + run.count; ++i) {
    const float step = step_of(mix, head, steps.row(i)[head]);
    const float* x = channels.row(i) + head * dim;
    const float* b = channels.row(i) + hyper.inner() + group * hyper.state;
    const float* c = b + std::size_t{hyper.groups} * hyper.state;
    float* out = y.row(i) + head * dim;
    for (std::size_t d = 0; d < dim; ++d) scaled[d] = step * x[d];
    const kernels::StateStep update{
        .decay = std::exp(step * decay), .a = b, .u = scaled.data(), .b = c};
    mix.kernels.update(out, state, &update, hyper.state, dim);
    for (std::size_t d = 0; d < dim; ++d) out[d] += skip * x[d];
  }
}

// The same in chunks.  pairs: of c and b.
void mamba_chunk(const Mix& mix, const RowRun& run, std::size_t head, Chunk chunk, View channels,
                 View steps, const float* pairs, View y) {
  const MixerHyper& hyper = mix.hyper;
  const std::size_t dim = hyper.head_dim, keys = hyper.state, group = group_of(hyper, head);
  const float decay = mix.layer[Role::mixer_decay].values[head];
  const float skip = mix.layer[Role::mixer_skip].values[head];
  float* state = state_of(mix, run, head);
  const View x = channels.slice_rows(chunk.first, chunk.count).slice_columns(head * dim, dim);
  const float* b = channels.row(chunk.first) + hyper.inner() + group * keys;
  const float* c = b + std::size_t{hyper.groups} * keys;
  const View out = y.slice_rows(chunk.first, chunk.count).slice_columns(head * dim, dim);

  std::vector<float> memory(chunk_rows * chunk_rows + 3 * chunk_rows);
  float* m = memory.data();
  float *given = m + chunk_rows * chunk_rows, *logs = given + chunk_rows, *kept = logs + chunk_rows;
  for (std::size_t i = 0; i < chunk.count; ++i) {
    given[i] = step_of(mix, head, steps.row(chunk.first + i)[head]);
    logs[i] = given[i] * decay;
  }
  const Fading fading(*mix.ctx.kernels, {logs, chunk.count});
  fade_pairs(fading, chunk.count, pairs, m);
  for (std::size_t i = 0; i < chunk.count; ++i) {
    for (std::size_t j = 0; j <= i; ++j) m[i * chunk_rows + j] *= given[j];
    m[i * chunk_rows + i] += skip;
  }

  fading.from_state(kept);
  const kernels::StateProduct product{.y = out.data,
                                      .y_step = out.stride,
                                      .a = c,
                                      .a_row_step = channels.stride,
                                      .a_term_step = 1,
                                      .b = state,
                                      .b_step = dim,
                                      .rows = chunk.count,
                                      .terms = keys,
                                      .columns = dim,
                                      .row_factors = kept};
  mix.kernels.multiply(&product);  // what the state gives
  add_lower(mix, out, m, x);
  add_to_state(mix, state, fading, b, channels.stride, x, given);
}

// Norms every group of y's columns after it is gated, or before.
void gated_norm(const Mix& mix, View y, View gate) {
  const Weight& w = mix.layer[Role::mixer_norm];
  const std::size_t width = mix.hyper.inner() / mix.hyper.groups;
  const auto norm = [&] {
    if (!w.present()) return;
    for (std::size_t first = 0; first < y.dim; first += width) {
      const View group = y.slice_columns(first, width);
      ops::rms_norm(mix.ctx, group, group, std::span(w.values).subspan(first, width), mix.eps);
    }
  };
  if (mix.hyper.gate_after_norm) norm();
  ops::activate_mul(mix.ctx, gate, y, ops::Activation::silu);
  for (std::size_t i = 0; i < y.rows; ++i) std::copy_n(gate.row(i), y.dim, y.row(i));
  if (!mix.hyper.gate_after_norm) norm();
}

// What was projected in, times the factors of its parts.
void scale_parts(const Mix& mix, View in) {
  const MixerHyper& hyper = mix.hyper;
  const std::size_t inner = hyper.inner(), keys = std::size_t{hyper.groups} * hyper.state;
  const std::size_t widths[] = {inner, inner, keys, keys, hyper.heads};
  std::size_t first = 0;
  for (std::size_t i = 0; i < std::size(widths); first += widths[i++])
    if (hyper.factors_in[i] != 1)
      ops::scale(mix.ctx, in.slice_columns(first, widths[i]), hyper.factors_in[i]);
}

}  // namespace

View mamba(const Mix& mix, View x) {
  const View in = project(mix, x, mix.layer[Role::mixer_in]);
  scale_parts(mix, in);
  const std::size_t inner = mix.hyper.inner(), channels = mix.hyper.channels();
  const View gate = mix.arena.view(x.rows, inner), input = mix.arena.view(x.rows, channels);
  for (std::size_t i = 0; i < x.rows; ++i) {
    std::copy_n(in.row(i), inner, gate.row(i));
    std::copy_n(in.row(i) + inner, channels, input.row(i));
  }
  const View steps = in.slice_columns(inner + channels, mix.hyper.heads);
  const View mixed = convolve(mix, input);
  ops::activate(mix.ctx, mixed, ops::Activation::silu);
  const View y = mix.arena.view(x.rows, inner);
  const std::size_t keys = std::size_t{mix.hyper.groups} * mix.hyper.state;
  const PairProducts pairs(mix, mixed, inner + keys, inner);
  each_head(mix, [&](const RowRun& run, std::size_t head) {
    if (!is_chunked(mix, run)) return mamba_rows(mix, run, head, mixed, steps, y);
    const auto number = static_cast<std::size_t>(&run - mix.runs.data());
    each_chunk(run, [&](Chunk chunk, std::size_t at) {
      const float* table = pairs.of(number, at, group_of(mix.hyper, head));
      mamba_chunk(mix, run, head, chunk, mixed, steps, table, y);
    });
  });
  gated_norm(mix, y, gate);
  return y;
}

}  // namespace hearth::models
