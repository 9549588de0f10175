// Gated delta nets.  Source: Yang et al. 2024.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/kernels.h"
#include "models/mixer_chunks.h"

namespace hearth::models {
namespace {

// Divides by the length of n numbers, and by `more`.
void make_unit(float* x, std::size_t n, float more, const kernels::Kernels& table) {
  constexpr float eps = 1e-6f;
  table.scale(x, more / std::sqrt(table.dot(x, x, n) + eps), n);
}

// How much a head's state decays at a row, as a logarithm.
float decay_log(const Mix& mix, std::size_t head, float a) {
  return mix.layer[Role::mixer_decay].values[head] *
         softplus(a + mix.layer[Role::mixer_step].values[head]);
}

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

// One head of the gated delta rule, for all rows of a run.
void delta_rows(const Mix& mix, const RowRun& run, std::size_t head, View mixed, View b, View a,
                View y) {
  const MixerHyper& hyper = mix.hyper;
  const std::size_t keys = hyper.state, values = hyper.head_dim;
  const std::size_t all_keys = std::size_t{hyper.groups} * keys, group = group_of(hyper, head);
  float* state = state_of(mix, run, head);
  for (std::size_t i = run.first; i < run.first + run.count; ++i) {
    const float decay = std::exp(decay_log(mix, head, a.row(i)[head]));
    const float beta = sigmoid(b.row(i)[head]);
    const float* q = mixed.row(i) + group * keys;
    const float* k = q + all_keys;
    float* v = mixed.row(i) + 2 * all_keys + head * values;
    float* out = y.row(i) + head * values;
    mix.kernels.read(out, state, k, keys, values);
    for (std::size_t d = 0; d < values; ++d) v[d] = beta * (v[d] - decay * out[d]);
    const kernels::StateStep update{.decay = decay, .a = k, .u = v, .b = q};
    mix.kernels.update(out, state, &update, keys, values);
  }
}

// The pairs of a chunk: of keys with keys, and of queries with keys.
struct DeltaPairs {
  const float *keys, *queries;
};

// The same in chunks: what rows give to the state, less what it held for their keys, is the
// solution of a triangular system.
void delta_chunk(const Mix& mix, const RowRun& run, std::size_t head, Chunk chunk, View mixed,
                 View b, View a, DeltaPairs pairs, View y) {
  const MixerHyper& hyper = mix.hyper;
  const std::size_t keys = hyper.state, values = hyper.head_dim, rows = chunk.count;
  const std::size_t all_keys = std::size_t{hyper.groups} * keys, group = group_of(hyper, head);
  float* state = state_of(mix, run, head);
  const float* q = mixed.row(chunk.first) + group * keys;
  const float* k = q + all_keys;
  const View v =
      mixed.slice_rows(chunk.first, rows).slice_columns(2 * all_keys + head * values, values);
  const View out = y.slice_rows(chunk.first, rows).slice_columns(head * values, values);

  std::vector<float> memory(rows * values + chunk_rows * chunk_rows + 3 * chunk_rows);
  const View given(memory.data(), rows, values);
  float* m = memory.data() + rows * values;
  float *logs = m + chunk_rows * chunk_rows, *kept = logs + chunk_rows, *beta = kept + chunk_rows;
  for (std::size_t i = 0; i < rows; ++i) {
    logs[i] = decay_log(mix, head, a.row(chunk.first + i)[head]);
    beta[i] = sigmoid(b.row(chunk.first + i)[head]);
  }
  const Fading fading(*mix.ctx.kernels, {logs, rows});
  fading.from_state(kept);
  // to = held * to + factor of the row * its vector times the state.
  const auto add_times_state = [&](const float* vectors, View to, float held,
                                   const float* factors) {
    const kernels::StateProduct product{.y = to.data,
                                        .y_step = to.stride,
                                        .a = vectors,
                                        .a_row_step = mixed.stride,
                                        .a_term_step = 1,
                                        .b = state,
                                        .b_step = values,
                                        .rows = rows,
                                        .terms = keys,
                                        .columns = values,
                                        .held = held,
                                        .row_factors = factors};
    mix.kernels.multiply(&product);
  };

  // beta (v - what the state, faded, holds for the key)
  for (std::size_t i = 0; i < rows; ++i) {
    std::copy_n(v.row(i), values, given.row(i));
    mix.ctx.kernels->scale(given.row(i), beta[i], values);
    logs[i] = -beta[i] * kept[i];
  }
  add_times_state(k, given, 1, logs);
  fade_pairs(fading, rows, pairs.keys, m);
  for (std::size_t i = 0; i < rows; ++i) mix.ctx.kernels->scale(m + i * chunk_rows, -beta[i], i);
  solve_lower(mix, given, m);

  add_times_state(q, out, 0, kept);
  fade_pairs(fading, rows, pairs.queries, m);
  add_lower(mix, out, m, given);
  add_to_state(mix, state, fading, k, mixed.stride, given, nullptr);
}

}  // namespace

View gated_delta(const Mix& mix, View x) {
  const MixerHyper& hyper = mix.hyper;
  const View in = project(mix, x, mix.layer[Role::mixer_qkv]);
  const View gate = project(mix, x, mix.layer[Role::mixer_z]);
  const View b = project(mix, x, mix.layer[Role::mixer_b]);
  const View a = project(mix, x, mix.layer[Role::mixer_a]);
  const View mixed = convolve(mix, in);
  ops::activate(mix.ctx, mixed, ops::Activation::silu);
  const std::size_t keys = hyper.state;
  const float shrink = 1 / std::sqrt(static_cast<float>(keys));
  const std::size_t heads = 2 * std::size_t{hyper.groups};
  mix.ctx.pool->parallel_for(x.rows, 16, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i)
      for (std::size_t h = 0; h < heads; ++h)
        make_unit(mixed.row(i) + h * keys, keys, h < hyper.groups ? shrink : 1, *mix.ctx.kernels);
  });
  const View y = mix.arena.view(x.rows, hyper.inner());
  const std::size_t all_keys = std::size_t{hyper.groups} * keys;
  const PairProducts of_keys(mix, mixed, all_keys, all_keys), of_queries(mix, mixed, 0, all_keys);
  each_head(mix, [&](const RowRun& run, std::size_t head) {
    if (!is_chunked(mix, run)) return delta_rows(mix, run, head, mixed, b, a, y);
    const auto number = static_cast<std::size_t>(&run - mix.runs.data());
    const std::size_t group = group_of(hyper, head);
    each_chunk(run, [&](Chunk chunk, std::size_t at) {
      const DeltaPairs pairs{of_keys.of(number, at, group), of_queries.of(number, at, group)};
      delta_chunk(mix, run, head, chunk, mixed, b, a, pairs, y);
    });
  });
  const View split(y.data, y.rows * hyper.heads, hyper.head_dim);
  ops::rms_norm(mix.ctx, split, split, mix.layer[Role::mixer_norm].values, mix.eps);
  ops::activate_mul(mix.ctx, gate, y, ops::Activation::silu);
  return gate;
}

}  // namespace hearth::models
