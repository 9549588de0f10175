// The plain path of RWKV-7: token by token, from the equations.
// Source: Peng et al. 2025, section 4.
#include <cmath>

#include "models/reference.h"

namespace hearth::models {
namespace {

using enum Role;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// x + (the row before - x) * lerp; `held` is the row before a run's first.
Table follow(std::span<const RowRun> runs, std::size_t last, const Table& x, const Weight& lerp) {
  Table y(x.rows, x.dim);
  for (const RowRun& run : runs)
    for (std::size_t i = run.first; i < run.first + run.count; ++i)
      for (std::size_t d = 0; d < x.dim; ++d) {
        const float before = i == run.first ? run.state[last + d] : x.row(i - 1)[d];
        y.row(i)[d] = x.row(i)[d] + (before - x.row(i)[d]) * lerp.values[d];
      }
  return y;
}

void keep_last(std::span<const RowRun> runs, std::size_t last, const Table& x) {
  for (const RowRun& run : runs)
    for (std::size_t d = 0; d < x.dim; ++d) {
      run.state[last + d] = x.row(run.first + run.count - 1)[d];
      if (run.guesses > 0) run.certain[last + d] = x.row(run.first + run.certain_rows() - 1)[d];
    }
}

Table through(ops::Context& ctx, const Layer& layer, const Table& x, Role in, Role out,
              double (*inside)(double)) {
  Table narrow = multiply(ctx, x, layer[in]);
  for (float& value : narrow.values) value = static_cast<float>(inside(static_cast<double>(value)));
  return multiply(ctx, narrow, layer[out]);
}

void make_shares(Table& x, const Weight& base) {
  for (std::size_t i = 0; i < x.values.size(); ++i)
    x.values[i] = static_cast<float>(
        sigmoid(static_cast<double>(x.values[i]) + static_cast<double>(base.values[i % x.dim])));
}

double same(double x) { return x; }

// Of one head: s[i] = w[i] s[i] + k~[i] a[i] (-s^T k~) + k[i] v, y = s^T r.
void head_token(const Layer& layer, std::size_t dim, std::size_t first, const float* r, float* k,
                const float* v, const float* decay, const float* rate, const float* gate,
                float* state, float* out) {
  const auto at = [&](Role role, std::size_t d) {
    return static_cast<double>(layer[role].values[first + d]);
  };
  std::vector<double> old(dim), held(dim), y(dim);
  double length = 0, own = 0;
  for (std::size_t d = 0; d < dim; ++d) {
    old[d] = static_cast<double>(k[d]) * at(key_scale, d);
    length += old[d] * old[d];
  }
  for (double& value : old) value /= std::max(std::sqrt(length), 1e-12);
  for (std::size_t d = 0; d < dim; ++d) {
    k[d] *= static_cast<float>(1 + (static_cast<double>(rate[d]) - 1) * at(key_rate, d));
    own += static_cast<double>(r[d]) * static_cast<double>(k[d]) * at(bonus, d);
  }
  for (std::size_t i = 0; i < dim; ++i)
    for (std::size_t j = 0; j < dim; ++j)
      held[j] -= static_cast<double>(state[i * dim + j]) * old[i];
  for (std::size_t i = 0; i < dim; ++i) {
    const double kept = std::exp(-0.606531 * static_cast<double>(decay[i]));
    for (std::size_t j = 0; j < dim; ++j) {
      float& s = state[i * dim + j];
      s = static_cast<float>(kept * static_cast<double>(s) +
                             old[i] * static_cast<double>(rate[i]) * held[j] +
                             static_cast<double>(k[i]) * static_cast<double>(v[j]));
      y[j] += static_cast<double>(s) * static_cast<double>(r[i]);
    }
  }
  double mean = 0, variance = 0;
  for (const double value : y) mean += value / static_cast<double>(dim);
  for (const double value : y)
    variance += (value - mean) * (value - mean) / static_cast<double>(dim);
  const Weight& norm = layer[mixer_norm];
  for (std::size_t d = 0; d < dim; ++d) {
    double value = (y[d] - mean) / std::sqrt(variance + 64e-5) * at(mixer_norm, d);
    if (!norm.bias.empty()) value += static_cast<double>(norm.bias[first + d]);
    out[d] = static_cast<float>((value + own * static_cast<double>(v[d])) *
                                static_cast<double>(gate[d]));
  }
}

}  // namespace

Table rwkv_plainly(ops::Context& ctx, const Trunk& trunk, const Layer& layer,
                   std::span<const RowRun> runs, const Table& x, bool is_first,
                   Table& first_values) {
  const MixerHyper& mixer = trunk.hyper.mixer;
  const auto input = [&](Role lerp) { return follow(runs, 0, x, layer[lerp]); };
  const Table r = multiply(ctx, input(lerp_r), layer[mixer_r]);
  Table k = multiply(ctx, input(lerp_k), layer[mixer_k]);
  Table v = multiply(ctx, input(lerp_v), layer[mixer_v]);
  if (is_first) {
    first_values = v;
  } else {
    Table share = through(ctx, layer, input(lerp_v), first_in, first_out, same);
    make_shares(share, layer[first_base]);
    for (std::size_t i = 0; i < v.values.size(); ++i)
      v.values[i] += (first_values.values[i] - v.values[i]) * share.values[i];
  }
  Table decay = through(ctx, layer, input(lerp_w), decay_in, decay_out,
                        [](double t) { return std::tanh(t); });
  make_shares(decay, layer[decay_base]);
  Table rate = through(ctx, layer, input(lerp_a), rate_in, rate_out, same);
  make_shares(rate, layer[rate_base]);
  const Table gate = through(ctx, layer, input(lerp_g), gate_in, gate_out, sigmoid);
  keep_last(runs, 0, x);
  Table y(x.rows, mixer.inner());
  for (const RowRun& run : runs)
    for (std::size_t i = run.first; i < run.first + run.count; ++i) {
      for (std::size_t head = 0; head < mixer.heads; ++head) {
        const std::size_t first = head * mixer.head_dim;
        head_token(layer, mixer.head_dim, first, r.row(i) + first, k.row(i) + first,
                   v.row(i) + first, decay.row(i) + first, rate.row(i) + first, gate.row(i) + first,
                   run.state + mixer.tail() + first * mixer.head_dim, y.row(i) + first);
      }
      keep_certain_plainly(run, i, mixer.tail(), mixer.matrix());
    }
  return y;
}

Table follow_plainly(const Trunk& trunk, std::size_t index, const Rows& rows, const Table& x) {
  const MixerHyper& mixer = trunk.hyper.mixer;
  const std::size_t last = mixer.tail() + mixer.matrix();
  const auto runs = plain_runs(trunk, index, rows);
  const Table y = follow(runs, last, x, trunk.weights.layers[index][mlp_lerp]);
  keep_last(runs, last, x);
  return y;
}

}  // namespace hearth::models
