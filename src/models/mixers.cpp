#include "models/mixers.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/states_select.h"

namespace hearth::models {
namespace {

constexpr std::size_t most_taps = 64;

// One layer's mixer on its way.
struct Mix {
  ops::Context& ctx;
  const MixerHyper& hyper;
  const Layer& layer;
  float eps;
  std::span<const RowRun> runs;
  Arena& arena;
  const kernels::StateKernels& kernels;
};

View project(const Mix& mix, View x, const Weight& w) {
  const View y = mix.arena.view(x.rows, w.matrix.rows());
  ops::matmul(mix.ctx, y, x, w.matrix, w.bias);
  return y;
}

float softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }

// The rows of x and the state's tail as one sequence of inputs; y: what the convolution makes of
// them.  The tail moves on.
void convolve_run(const Mix& mix, const RowRun& run, View x, View y) {
  const std::size_t taps = mix.hyper.kernel, channels = x.dim, held = taps - 1;
  const std::vector<float>&w = mix.layer[Role::mixer_conv].values,
        &bias = mix.layer[Role::mixer_conv].bias;
  float* tail = run.state;
  const auto input = [&](std::size_t i) -> const float* {  // i counts from the tail's first
    return i < held ? tail + i * channels : x.row(run.first + i - held);
  };
  mix.ctx.pool->parallel_for(run.count, 16, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      const float* at[most_taps];
      for (std::size_t k = 0; k < taps; ++k) at[k] = input(i + k);
      mix.kernels.convolve(y.row(run.first + i), at, w.data(), bias.empty() ? nullptr : bias.data(),
                           taps, channels);
    }
  });
  for (std::size_t i = 0; i < held; ++i) {
    const float* from = input(run.count + i);
    std::copy_n(from, channels, tail + i * channels);
  }
}

View convolve(const Mix& mix, View x) {
  const View y = mix.arena.view(x.rows, x.dim);
  for (const RowRun& run : mix.runs) convolve_run(mix, run, x, y);
  return y;
}

// Calls f(run, head) for all, each head of a sequence by one thread.
template <typename F>
void each_head(const Mix& mix, F f) {
  const std::size_t heads = mix.hyper.heads;
  mix.ctx.pool->parallel_for(mix.runs.size() * heads, 1,
                             [&](std::size_t begin, std::size_t end, int) {
                               for (std::size_t i = begin; i < end; ++i)
                                 f(mix.runs[i / heads], i % heads);
                             });
}

float* state_of(const Mix& mix, const RowRun& run, std::size_t head) {
  return run.state + mix.hyper.tail() + head * mix.hyper.state * mix.hyper.head_dim;
}

std::size_t group_of(const MixerHyper& hyper, std::size_t head) {
  return hyper.tiled ? head % hyper.groups : head / (hyper.heads / hyper.groups);
}

View short_conv(const Mix& mix, View x) {
  const View in = project(mix, x, mix.layer[Role::mixer_in]);
  const std::size_t dim = mix.hyper.inner();
  const View input = mix.arena.view(x.rows, dim);
  for (std::size_t i = 0; i < x.rows; ++i) {
    const float *b = in.row(i), *value = b + 2 * dim;
    for (std::size_t d = 0; d < dim; ++d) input.row(i)[d] = b[d] * value[d];
  }
  const View y = convolve(mix, input);
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t d = 0; d < dim; ++d) y.row(i)[d] *= in.row(i)[dim + d];
  return y;
}

// y = s^T c + D x of one head, for all rows of a run.
void mamba_head(const Mix& mix, const RowRun& run, std::size_t head, View channels, View steps,
                View y) {
  const MixerHyper& hyper = mix.hyper;
  const std::size_t dim = hyper.head_dim, group = group_of(hyper, head);
  const float bias = mix.layer[Role::mixer_step].values[head];
  const float decay = mix.layer[Role::mixer_decay].values[head];
  const float skip = mix.layer[Role::mixer_skip].values[head];
  float* state = state_of(mix, run, head);
  std::vector<float> scaled(dim);
  for (std::size_t i = run.first; i < run.first + run.count; ++i) {
    float step = softplus(steps.row(i)[head] + bias);
    if (hyper.step_max > 0) step = std::clamp(step, hyper.step_min, hyper.step_max);
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
  each_head(mix, [&](const RowRun& run, std::size_t head) {
    mamba_head(mix, run, head, mixed, steps, y);
  });
  gated_norm(mix, y, gate);
  return y;
}

// Divides by the length of n numbers, and by `more`.
void make_unit(float* x, std::size_t n, float more, const kernels::Kernels& table) {
  constexpr float eps = 1e-6f;
  table.scale(x, more / std::sqrt(table.dot(x, x, n) + eps), n);
}

// One head of the gated delta rule, for all rows of a run.
void delta_head(const Mix& mix, const RowRun& run, std::size_t head, View mixed, View b, View a,
                View y) {
  const MixerHyper& hyper = mix.hyper;
  const std::size_t keys = hyper.state, values = hyper.head_dim;
  const std::size_t all_keys = std::size_t{hyper.groups} * keys, group = group_of(hyper, head);
  const float bias = mix.layer[Role::mixer_step].values[head];
  const float rate = mix.layer[Role::mixer_decay].values[head];
  float* state = state_of(mix, run, head);
  for (std::size_t i = run.first; i < run.first + run.count; ++i) {
    const float decay = std::exp(rate * softplus(a.row(i)[head] + bias));
    const float beta = 1 / (1 + std::exp(-b.row(i)[head]));
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
  each_head(mix, [&](const RowRun& run, std::size_t head) {
    delta_head(mix, run, head, mixed, b, a, y);
  });
  const View split(y.data, y.rows * hyper.heads, hyper.head_dim);
  ops::rms_norm(mix.ctx, split, split, mix.layer[Role::mixer_norm].values, mix.eps);
  ops::activate_mul(mix.ctx, gate, y, ops::Activation::silu);
  return gate;
}

}  // namespace

std::span<const RowRun> runs_of(const Trunk& trunk, std::size_t layer, const Rows& rows,
                                Arena& arena) {
  const MixerHyper& hyper = trunk.hyper.mixer;
  const std::size_t begin = trunk.hyper.state_begin(layer);
  const auto runs = arena.take<RowRun>(rows.places.size());
  std::size_t count = 0;
  for (std::size_t i = 0; i < rows.places.size(); ++i) {
    const ops::RowPlace& place = rows.places[i];
    if (i > 0 && rows.places[i - 1].sequence == place.sequence) {
      ++runs[count - 1].count;
      continue;
    }
    float* state = reinterpret_cast<float*>(rows.sequences[place.sequence].state) + begin;
    if (place.position == 0) std::fill_n(state, hyper.tail() + hyper.matrix(), 0.0f);
    runs[count++] = {i, 1, state};
  }
  return runs.first(count);
}

View run_mixer(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Rows& rows, View x,
               Arena& arena) {
  const Mix mix{ctx,
                trunk.hyper.mixer,
                trunk.weights.layers[index],
                trunk.hyper.norm_eps,
                runs_of(trunk, index, rows, arena),
                arena,
                kernels::state_kernels_beside(ctx.kernels->name)};
  switch (trunk.hyper.mixer.kind) {
    case MixerKind::short_conv:
      return short_conv(mix, x);
    case MixerKind::mamba2:
      return mamba(mix, x);
    case MixerKind::gated_delta:
      return gated_delta(mix, x);
    case MixerKind::none:
      break;
  }
  return x;
}

}  // namespace hearth::models
