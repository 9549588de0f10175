#include "models/mixers.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"
#include "models/mixer_parts.h"

namespace hearth::models {
namespace {

constexpr std::size_t most_taps = 64;

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
  for (std::size_t i = 0; run.guesses > 0 && i < held; ++i)
    std::copy_n(input(run.certain_rows() + i), channels, run.certain + i * channels);
  for (std::size_t i = 0; i < held; ++i) {
    const float* from = input(run.count + i);
    std::copy_n(from, channels, tail + i * channels);
  }
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

}  // namespace

View project(const Mix& mix, View x, const Weight& w) {
  const View y = mix.arena.view(x.rows, w.matrix.rows());
  ops::matmul(mix.ctx, y, x, w.matrix, w.bias);
  return y;
}

float softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }

View convolve(const Mix& mix, View x) {
  const View y = mix.arena.view(x.rows, x.dim);
  for (const RowRun& run : mix.runs) convolve_run(mix, run, x, y);
  return y;
}

float* state_of(const Mix& mix, const RowRun& run, std::size_t head) {
  return run.state + mix.hyper.tail() + head * mix.hyper.state * mix.hyper.head_dim;
}

void keep_certain(const Mix& mix, const RowRun& run, std::size_t head) {
  const float* held = state_of(mix, run, head);
  std::copy_n(held, mix.hyper.state * mix.hyper.head_dim, run.certain + (held - run.state));
}

std::size_t group_of(const MixerHyper& hyper, std::size_t head) {
  return hyper.tiled ? head % hyper.groups : head / (hyper.heads / hyper.groups);
}

void clear_new_states(const Trunk& trunk, const Rows& rows) {
  const std::size_t floats = trunk.hyper.state_floats();
  if (floats == 0) return;
  for (const ops::RowPlace& place : rows.places)
    if (place.position == 0)
      std::fill_n(reinterpret_cast<float*>(rows.sequences[place.sequence].state), floats, 0.0f);
}

RowRun run_from(const Trunk& trunk, std::size_t layer, const Rows& rows, std::size_t i) {
  const std::size_t begin = trunk.hyper.state_begin(layer);
  const ops::KvSequence& sequence = rows.sequences[rows.places[i].sequence];
  RowRun run{i, 1, reinterpret_cast<float*>(sequence.state) + begin, sequence.guesses};
  if (run.guesses > 0) run.certain = reinterpret_cast<float*>(sequence.certain) + begin;
  return run;
}

std::span<const RowRun> runs_of(const Trunk& trunk, std::size_t layer, const Rows& rows,
                                Arena& arena) {
  const auto runs = arena.take<RowRun>(rows.places.size());
  std::size_t count = 0;
  for (std::size_t i = 0; i < rows.places.size(); ++i) {
    const ops::RowPlace& place = rows.places[i];
    if (i > 0 && rows.places[i - 1].sequence == place.sequence) {
      ++runs[count - 1].count;
      continue;
    }
    runs[count++] = run_from(trunk, layer, rows, i);
  }
  return runs.first(count);
}

View run_mixer(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Rows& rows, View x,
               View first_values, Arena& arena) {
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
    case MixerKind::rwkv7:
      return rwkv(mix, x, first_values, index == 0);
    case MixerKind::none:
      break;
  }
  return x;
}

}  // namespace hearth::models
