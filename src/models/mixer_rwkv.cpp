// RWKV-7.  Source: Peng et al. 2025 (RWKV-7 "Goose"), section 4.
#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "kernels/kernels.h"
#include "models/mixer_parts.h"

namespace hearth::models {
namespace {

constexpr float head_eps = 64e-5f;           // of the norm of a head's output
constexpr float slowest_decay = -0.606531f;  // a state keeps at least e^this of itself

// What x lacks of the row before it: [rows, dim].  `last` floats into a run's state lies the row
// before its first; the run's last row takes its place.
View steps_back(ops::Context& ctx, std::span<const RowRun> runs, std::size_t last, View x,
                Arena& arena) {
  const View y = arena.view(x.rows, x.dim);
  for (const RowRun& run : runs) {
    float* held = run.state + last;
    ctx.pool->parallel_for(run.count, 16, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = run.first + begin; i < run.first + end; ++i) {
        const float* before = i == run.first ? held : x.row(i - 1);
        for (std::size_t d = 0; d < x.dim; ++d) y.row(i)[d] = before[d] - x.row(i)[d];
      }
    });
    std::copy_n(x.row(run.first + run.count - 1), x.dim, held);
    if (run.guesses > 0)
      std::copy_n(x.row(run.first + run.certain_rows() - 1), x.dim, run.certain + last);
  }
  return y;
}

// y = x + back * lerp.
void follow(ops::Context& ctx, View y, View x, View back, const Weight& lerp) {
  ctx.pool->parallel_for(x.rows, 16, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i)
      for (std::size_t d = 0; d < x.dim; ++d)
        y.row(i)[d] = x.row(i)[d] + back.row(i)[d] * lerp.values[d];
  });
}

// The normed stream, what it lacks of the row before, and room for what lies between.
struct Inputs {
  const Mix& mix;
  View x, back, between;

  View at(Role lerp) const {
    follow(mix.ctx, between, x, back, mix.layer[lerp]);
    return between;
  }
  View project(Role lerp, Role matrix) const {
    return models::project(mix, at(lerp), mix.layer[matrix]);
  }
};

// A narrow way: out(f(in(x))), f left out where there is none.
struct Narrow {
  Role in, out;
  std::optional<ops::Activation> inside = {};
};

View through(const Mix& mix, View x, const Narrow& way) {
  const View narrow = project(mix, x, mix.layer[way.in]);
  if (way.inside) ops::activate(mix.ctx, narrow, *way.inside);
  return project(mix, narrow, mix.layer[way.out]);
}

// sigmoid(base + what comes through).
View share_through(const Mix& mix, View x, const Narrow& way, Role base) {
  const View y = through(mix, x, way);
  ops::add_bias(mix.ctx, y, mix.layer[base].values);
  ops::activate(mix.ctx, y, ops::Activation::sigmoid);
  return y;
}

// What rows say of how their states change: [rows, inner] each.
struct Said {
  View r, k, v, decay, rate, gate;
};

// One head of one run.  y: [rows, inner].
void rwkv_head(const Mix& mix, const RowRun& run, std::size_t head, const Said& said, View y) {
  const std::size_t dim = mix.hyper.head_dim, first = head * dim;
  const kernels::Kernels& table = *mix.ctx.kernels;
  const auto of = [&](Role role) { return mix.layer[role].values.data() + first; };
  const float *scale = of(Role::key_scale), *follows = of(Role::key_rate), *bonus = of(Role::bonus),
              *weight = of(Role::mixer_norm);
  const Weight& norm = mix.layer[Role::mixer_norm];
  const float* shift = norm.bias.empty() ? nullptr : norm.bias.data() + first;
  float* state = state_of(mix, run, head);
  std::vector<float> memory(4 * dim);
  float *old = memory.data(), *learns = old + dim, *held = learns + dim, *kept = held + dim;
  for (std::size_t i = run.first; i < run.first + run.count; ++i) {
    const float *r = said.r.row(i) + first, *v = said.v.row(i) + first;
    const float *rate = said.rate.row(i) + first, *gate = said.gate.row(i) + first;
    const float* decay = said.decay.row(i) + first;
    float *k = said.k.row(i) + first, *out = y.row(i) + first;
    for (std::size_t d = 0; d < dim; ++d) old[d] = k[d] * scale[d];
    table.l2_norm(old, old, dim, 1e-12f);
    float own = 0;
    for (std::size_t d = 0; d < dim; ++d) {
      kept[d] = std::exp(slowest_decay * decay[d]);
      learns[d] = old[d] * rate[d];
      k[d] *= 1 + (rate[d] - 1) * follows[d];
      own += r[d] * k[d] * bonus[d];
    }
    mix.kernels.read(held, state, old, dim, dim);
    table.scale(held, -1, dim);
    const kernels::TwoStep step{.decay = kept, .a = learns, .u = held, .c = k, .v = v, .b = r};
    mix.kernels.update_two(out, state, &step, dim, dim);
    table.layer_norm(out, out, weight, shift, dim, head_eps);
    for (std::size_t d = 0; d < dim; ++d) out[d] = (out[d] + own * v[d]) * gate[d];
  }
}

// Values follow those of the first layer: v += (first - v) * share.
void follow_first(const Mix& mix, View v, View first, View share) {
  mix.ctx.pool->parallel_for(v.rows, 16, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i)
      for (std::size_t d = 0; d < v.dim; ++d)
        v.row(i)[d] += (first.row(i)[d] - v.row(i)[d]) * share.row(i)[d];
  });
}

}  // namespace

View rwkv(const Mix& mix, View x, View first_values, bool is_first) {
  using enum Role;
  const Inputs inputs{mix, x, steps_back(mix.ctx, mix.runs, 0, x, mix.arena),
                      mix.arena.view(x.rows, x.dim)};
  Said said;
  said.r = inputs.project(lerp_r, mixer_r);
  said.k = inputs.project(lerp_k, mixer_k);
  said.v = inputs.project(lerp_v, mixer_v);
  if (is_first) {
    for (std::size_t i = 0; i < x.rows; ++i)
      std::copy_n(said.v.row(i), said.v.dim, first_values.row(i));
  } else {
    const View share = share_through(mix, inputs.between, {first_in, first_out}, first_base);
    follow_first(mix, said.v, first_values, share);
  }
  said.decay = share_through(mix, inputs.at(lerp_w), {decay_in, decay_out, ops::Activation::tanh},
                             decay_base);
  said.rate = share_through(mix, inputs.at(lerp_a), {rate_in, rate_out}, rate_base);
  said.gate = through(mix, inputs.at(lerp_g), {gate_in, gate_out, ops::Activation::sigmoid});
  const View y = mix.arena.view(x.rows, mix.hyper.inner());
  each_head(mix, [&](const RowRun& run, std::size_t head) { rwkv_head(mix, run, head, said, y); });
  return y;
}

View follow_rows(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Rows& rows, View x,
                 Arena& arena) {
  const MixerHyper& hyper = trunk.hyper.mixer;
  const auto runs = runs_of(trunk, index, rows, arena);
  const View back = steps_back(ctx, runs, hyper.tail() + hyper.matrix(), x, arena);
  follow(ctx, back, x, back, trunk.weights.layers[index][Role::mlp_lerp]);
  return back;
}

}  // namespace hearth::models
