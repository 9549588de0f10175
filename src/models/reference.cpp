// The plain path: loops over f32, one row and one weight at a time, from the same ArchSpec as the
// fast path.  Every other way to run a model is held to this one, and this one to Hugging Face.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "models/mtp.h"
#include "models/reference.h"
#include "models/values.h"

namespace hearth::models {

double dot(const float* a, const float* b, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

// y = x w^T + bias.
Table multiply(ops::Context& ctx, const Table& x, const ops::StoredMatrix& w,
               std::span<const float> bias) {
  Table y(x.rows, w.rows);
  Floats weights(w.columns);
  for (std::size_t n = 0; n < w.rows; ++n) {
    read_row(ctx, w, n, weights.data());
    for (std::size_t i = 0; i < x.rows; ++i)
      y.row(i)[n] = static_cast<float>(dot(x.row(i), weights.data(), w.columns) +
                                       (bias.empty() ? 0.0f : bias[n]));
  }
  return y;
}

Table multiply(ops::Context& ctx, const Table& x, const Weight& w) {
  return multiply(ctx, x, w.stored, w.bias);
}

namespace {

// Normalises n numbers in place.
void norm(NormKind kind, float* x, std::size_t n, const float* w, const float* b, float eps) {
  double mean = 0, squares = 0;
  if (kind == NormKind::layer) {
    for (std::size_t i = 0; i < n; ++i) mean += x[i];
    mean /= static_cast<double>(n);
  }
  for (std::size_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + eps);
  for (std::size_t i = 0; i < n; ++i)
    x[i] = static_cast<float>((x[i] - mean) * scale * w[i]) + (b != nullptr ? b[i] : 0.0f);
}

}  // namespace

void norm(const Trunk& trunk, Table& x, const Weight& w) {
  if (!w.present()) return;
  const float* bias = w.bias.empty() ? nullptr : w.bias.data();
  const std::size_t width = w.by_head ? trunk.hyper.head_dim : w.values.size();
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t first = 0; first < x.dim; first += width) {
      const float* weights = w.values.data() + (w.by_head ? first : 0);
      norm(trunk.spec->norm, x.row(i) + first, width, weights, bias, trunk.hyper.norm_eps);
    }
}

void turn(const Trunk& trunk, Table& x, std::size_t head_dim, const Rows& rows,
          const ops::RopeTable& rope) {
  const auto place = [&](std::size_t row, std::size_t pair) {
    const bool is_grid = !rows.inputs.empty() && !trunk.rope_axes.empty();
    return is_grid ? rows.inputs[row].place[trunk.rope_axes[pair]] : rows.positions[row];
  };
  const std::size_t half = rope.rotary_dims / 2;
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t head = 0; head < x.dim; head += head_dim)
      for (std::size_t d = 0; d < half; ++d) {
        const float angle = static_cast<float>(place(i, d)) * rope.inverse_frequencies[d];
        const float c = std::cos(angle) * rope.magnitude, s = std::sin(angle) * rope.magnitude;
        float& a = x.row(i)[head + (rope.interleaved ? 2 * d : d)];
        float& b = x.row(i)[head + (rope.interleaved ? 2 * d + 1 : d + half)];
        const float turned = a * c - b * s;
        b = b * c + a * s;
        a = turned;
      }
}

float activation(ops::Activation f, float x) {
  using enum ops::Activation;
  const auto logistic = [](float v) { return 1 / (1 + std::exp(-v)); };
  switch (f) {
    case silu:
      return x * logistic(x);
    case gelu:
      return 0.5f * x * (1 + std::erf(x * 0.70710678f));
    case gelu_tanh:
      return 0.5f * x * (1 + std::tanh(0.79788456f * (x + 0.044715f * x * x * x)));
    case quick_gelu:
      return x * logistic(1.702f * x);
    case relu:
      return std::max(x, 0.0f);
    case relu_squared:
      return std::max(x, 0.0f) * std::max(x, 0.0f);
    case ops::Activation::tanh:
      return std::tanh(x);
    case ops::Activation::sigmoid:
      return logistic(x);
  }
  return x;
}

namespace {

// gate = f(gate) * up, or gpt-oss's clamped form of it.
void gated(const Trunk& trunk, Table& gate, const Table& up) {
  for (std::size_t i = 0; i < gate.values.size(); ++i) {
    float& g = gate.values[i];
    if (trunk.spec->clamped_swiglu) {
      const float limit = trunk.hyper.swiglu_limit, capped = std::min(g, limit);
      g = capped / (1 + std::exp(-trunk.hyper.swiglu_alpha * capped)) *
          (std::clamp(up.values[i], -limit, limit) + 1);
    } else {
      g = activation(trunk.hyper.activation, g) * up.values[i];
    }
  }
}

// What row i may look at: other rows of keys and values, by index.
struct Sight {
  std::vector<const float*> keys, values;  // of kv head 0; heads lie head_dim apart
};

// Attention of one row: out [heads * head_dim].
void attend(const Trunk& trunk, std::size_t layer, const float* q, const Sight& sight,
            std::span<const float> sinks, float* out) {
  const Hyper& hyper = trunk.hyper;
  const LayerHyper& at = hyper.layers[layer];
  const std::size_t dim = at.head_dim, group = hyper.heads / at.kv_heads;
  for (std::size_t head = 0; head < hyper.heads; ++head) {
    Floats scores(sight.keys.size());
    const std::size_t shift = head / group * dim;
    float highest = sinks.empty() ? -std::numeric_limits<float>::infinity() : sinks[head];
    for (std::size_t t = 0; t < scores.size(); ++t) {
      float s = static_cast<float>(dot(q + head * dim, sight.keys[t] + shift, dim)) *
                hyper.attention_scale;
      if (hyper.attention_softcap > 0)
        s = hyper.attention_softcap * std::tanh(s / hyper.attention_softcap);
      scores[t] = s;
      highest = std::max(highest, s);
    }
    double sum = sinks.empty() ? 0.0 : std::exp(sinks[head] - highest);
    for (float& s : scores) sum += s = std::exp(s - highest);
    for (std::size_t d = 0; d < dim; ++d) {
      double mix = 0;
      for (std::size_t t = 0; t < scores.size(); ++t)
        mix += static_cast<double>(scores[t]) * sight.values[t][shift + d];
      out[head * dim + d] = sum > 0 ? static_cast<float>(mix / sum) : 0;
    }
  }
}

}  // namespace

float* key_at(const ops::KvLayer& layer, std::byte* page, std::size_t token, std::size_t element) {
  return reinterpret_cast<float*>(page + layer.offset_bytes) + element * ops::kv_page_tokens +
         token;
}
float* value_at(const ops::KvLayer& layer, std::byte* page, std::size_t token,
                std::size_t element) {
  const std::size_t head = element / layer.value_dim, d = element % layer.value_dim;
  const std::size_t keys = std::size_t{layer.kv_heads} * layer.key_dim * ops::kv_page_tokens;
  return reinterpret_cast<float*>(page + layer.offset_bytes) + keys +
         (head * ops::kv_page_tokens + token) * layer.value_dim + d;
}

std::size_t first_seen(const LayerHyper& layer, std::size_t position) {
  if (layer.chunk > 0) return position / layer.chunk * layer.chunk;
  const bool limited = layer.window > 0 && position + 1 > layer.window;
  return std::max<std::size_t>(layer.from, limited ? position + 1 - layer.window : 0);
}

namespace {

Table attend_cached(const Trunk& trunk, std::size_t layer, const Rows& rows, const Table& q,
                    const Table& k, const Table& v) {
  constexpr std::size_t page_tokens = ops::kv_page_tokens;
  const ops::KvLayer& kv = trunk.kv.layers[trunk.hyper.layers[layer].kv_layer];
  for (std::size_t i = 0; i < k.rows; ++i) {
    const auto [sequence, position] = rows.places[i];
    std::byte* page = rows.sequences[sequence].pages[position / page_tokens];
    for (std::size_t e = 0; e < k.dim; ++e) {
      *key_at(kv, page, position % page_tokens, e) = k.row(i)[e];
      *value_at(kv, page, position % page_tokens, e) = v.row(i)[e];
    }
  }
  Table out(q.rows, q.dim);
  for (std::size_t i = 0; i < q.rows; ++i) {
    const auto [sequence, position] = rows.places[i];
    const std::size_t first = first_seen(trunk.hyper.layers[layer], position);
    const bool sees_ahead = trunk.hyper.layers[layer].sees_ahead && !rows.inputs.empty();
    const std::size_t last = position + (sees_ahead ? rows.inputs[i].ahead : 0);
    const std::size_t width = std::size_t{kv.kv_heads} * kv.key_dim;
    Table keys(last + 1 - first, width), values(last + 1 - first, width);
    Sight sight;
    for (std::size_t t = first; t <= last; ++t) {
      std::byte* page = rows.sequences[sequence].pages[t / page_tokens];
      for (std::size_t e = 0; e < width; ++e) {
        keys.row(t - first)[e] = *key_at(kv, page, t % page_tokens, e);
        values.row(t - first)[e] = *value_at(kv, page, t % page_tokens, e);
      }
      sight.keys.push_back(keys.row(t - first));
      sight.values.push_back(values.row(t - first));
    }
    attend(trunk, layer, q.row(i), sight, trunk.weights.layers[layer][Role::sinks].values,
           out.row(i));
  }
  return out;
}

Table attend_both_ways(const Trunk& trunk, std::size_t layer, const Rows& rows, const Table& q,
                       const Table& k, const Table& v) {
  Table out(q.rows, q.dim);
  const std::uint32_t window = trunk.hyper.layers[layer].window;
  for (std::size_t s = 0; s + 1 < rows.starts.size(); ++s)
    for (std::size_t i = rows.starts[s]; i < rows.starts[s + 1]; ++i) {
      Sight sight;
      for (std::size_t t = rows.starts[s]; t < rows.starts[s + 1]; ++t) {
        const std::size_t distance = t < i ? i - t : t - i;
        if (window > 0 && distance > window / 2) continue;
        sight.keys.push_back(k.row(t));
        sight.values.push_back(v.row(t));
      }
      attend(trunk, layer, q.row(i), sight, {}, out.row(i));
    }
  return out;
}

void unite(Table& x, std::size_t width, float eps) {
  const Floats ones(width, 1.0f);
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t first = 0; first < x.dim; first += width)
      norm(NormKind::rms, x.row(i) + first, width, ones.data(), nullptr, eps);
}

Table attention(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Rows& rows,
                const Table& x) {
  const Layer& layer = trunk.weights.layers[index];
  const Hyper& hyper = trunk.hyper;
  if (hyper.latent.kv_rank > 0) return attend_latent(ctx, trunk, index, rows, x);
  Table q = multiply(ctx, x, layer[Role::q]);
  const LayerHyper& at = hyper.layers[index];
  Table k(0, 0), v(0, 0);
  if (!at.borrows_kv) {
    k = multiply(ctx, x, layer[Role::k]);
    v = layer[Role::v].present() ? multiply(ctx, x, layer[Role::v]) : k;
  }
  if (trunk.spec->unit_values) unite(v, at.head_dim, hyper.norm_eps);
  const auto norm_both = [&] {
    norm(trunk, q, layer[Role::q_norm]);
    norm(trunk, k, layer[Role::k_norm]);
  };
  if (!trunk.spec->norm_after_rope) norm_both();
  if (at.rotates) {
    const ops::RopeTable rope = trunk.ropes.table(trunk.uses_local_rope(index));
    turn(trunk, q, at.head_dim, rows, rope);
    turn(trunk, k, at.head_dim, rows, rope);
    if (hyper.unit_after_rope) {
      unite(q, at.head_dim, hyper.norm_eps);
      unite(k, at.head_dim, hyper.norm_eps);
    }
  }
  if (trunk.spec->norm_after_rope) norm_both();
  if (hyper.layers[index].tempered)
    for (std::size_t i = 0; i < q.rows; ++i)
      for (std::size_t d = 0; d < q.dim; ++d) q.row(i)[d] *= hyper.temperature(rows.positions[i]);
  Table mixed = trunk.spec->kind == Kind::generator ? attend_cached(trunk, index, rows, q, k, v)
                                                    : attend_both_ways(trunk, index, rows, q, k, v);
  if (layer[Role::mix_gate].present()) {
    const Table gate = multiply(ctx, x, layer[Role::mix_gate]);
    for (std::size_t i = 0; i < mixed.values.size(); ++i)
      mixed.values[i] *= activation(ops::Activation::sigmoid, gate.values[i]);
  }
  return multiply(ctx, mixed, layer[Role::attention_out]);
}

constexpr float no_cut = -std::numeric_limits<float>::infinity();

Table dense_mlp(ops::Context& ctx, const Trunk& trunk, const Table& x, const Weight& gate_weight,
                const Weight& up_weight, const Weight& down_weight, float gate_cut) {
  Table up = multiply(ctx, x, up_weight);
  if (trunk.spec->mlp == MlpKind::plain) {
    for (float& value : up.values) value = activation(trunk.hyper.activation, value);
    return multiply(ctx, up, down_weight);
  }
  Table gate = multiply(ctx, x, gate_weight);
  for (float& value : gate.values) value *= trunk.hyper.gate_factor;
  if (std::isfinite(gate_cut)) cut_plainly(gate, gate_cut);
  gated(trunk, gate, up);
  return multiply(ctx, gate, down_weight);
}

std::span<const float> bias_of(const Weight& w, std::size_t expert, std::size_t rows) {
  return w.bias.empty() ? std::span<const float>() : std::span(w.bias).subspan(expert * rows, rows);
}

// The best `count` of `values`, by index among equals.
std::vector<std::size_t> best_of(const Floats& values, std::size_t count) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  order.resize(count);
  return order;
}

// The experts of one row with their shares, best first.
std::vector<std::pair<std::size_t, float>> choose(const Hyper& hyper, const float* logits,
                                                  const Floats& bias) {
  const bool sigmoid = hyper.expert_gate == ExpertGate::sigmoid;
  const float highest = *std::max_element(logits, logits + hyper.experts);
  Floats scores(hyper.experts);
  double all = 0;
  for (std::size_t e = 0; e < scores.size(); ++e)
    all += scores[e] =
        sigmoid ? activation(ops::Activation::sigmoid, logits[e]) : std::exp(logits[e] - highest);
  if (!sigmoid)
    for (float& score : scores) score = static_cast<float>(score / all);
  Floats ranks = scores;
  for (std::size_t e = 0; e < bias.size(); ++e) ranks[e] += bias[e];

  const std::size_t size = hyper.experts / hyper.expert_groups;
  Floats groups;
  for (std::size_t g = 0; g < hyper.expert_groups; ++g) {
    Floats own(ranks.begin() + static_cast<std::ptrdiff_t>(g * size),
               ranks.begin() + static_cast<std::ptrdiff_t>((g + 1) * size));
    std::sort(own.rbegin(), own.rend());
    groups.push_back(own[0] + (sigmoid && size > 1 ? own[1] : 0.0f));
  }
  const auto kept = best_of(groups, hyper.expert_groups_used);
  for (std::size_t e = 0; e < ranks.size(); ++e)
    if (std::ranges::find(kept, e / size) == kept.end())
      ranks[e] = -std::numeric_limits<float>::infinity();

  std::vector<std::pair<std::size_t, float>> chosen;
  double sum = 0;
  for (const std::size_t e : best_of(ranks, hyper.experts_used)) {
    chosen.emplace_back(e, scores[e]);
    sum += scores[e];
  }
  for (auto& [expert, share] : chosen)
    share = static_cast<float>(share / (hyper.normalise_experts ? sum : 1)) * hyper.expert_scale;
  return chosen;
}

Table sparse_mlp(ops::Context& ctx, const Trunk& trunk, const Layer& layer, const Table& x,
                 const Table& routed) {
  const Table logits = multiply(ctx, routed, layer[Role::router]);
  Table out(x.rows, x.dim);
  const std::size_t hidden = trunk.hyper.expert_hidden;
  for (std::size_t i = 0; i < x.rows; ++i) {
    for (auto [e, share] : choose(trunk.hyper, logits.row(i), layer[Role::router_bias].values)) {
      Table row(1, x.dim);
      std::copy_n(x.row(i), x.dim, row.row(0));
      if (layer[Role::experts_scale].present()) share *= layer[Role::experts_scale].values[e];
      if (trunk.spec->scales_expert_input) {
        for (float& value : row.values) value *= share;
        share = 1;
      }
      const Weight &gate_w = layer[Role::experts_gate], &up_w = layer[Role::experts_up],
                   &down_w = layer[Role::experts_down];
      Table gate = multiply(ctx, row, gate_w.stored_experts[e], bias_of(gate_w, e, hidden));
      const Table up = multiply(ctx, row, up_w.stored_experts[e], bias_of(up_w, e, hidden));
      gated(trunk, gate, up);
      const Table y = multiply(ctx, gate, down_w.stored_experts[e], bias_of(down_w, e, x.dim));
      for (std::size_t d = 0; d < x.dim; ++d) out.row(i)[d] += share * y.row(0)[d];
    }
  }
  if (!layer[Role::shared_up].present()) return out;
  const Table shared = dense_mlp(ctx, trunk, x, layer[Role::shared_gate], layer[Role::shared_up],
                                 layer[Role::shared_down], no_cut);
  const Weight& router = layer[Role::shared_router];
  for (std::size_t i = 0; i < x.rows; ++i) {
    float share = 1;
    if (router.present()) {
      Floats weights(x.dim);
      read_row(ctx, router.stored, 0, weights.data());
      share = activation(ops::Activation::sigmoid,
                         static_cast<float>(dot(x.row(i), weights.data(), x.dim)));
    }
    for (std::size_t d = 0; d < x.dim; ++d) out.row(i)[d] += share * shared.row(i)[d];
  }
  return out;
}

void add(Table& x, const Table& y, float scale) {
  for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += scale * y.values[i];
}

// x: the stream, behind the MLP's norm; before: without it.
Table mlp(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Table& x,
          const Table& before) {
  const Layer& layer = trunk.weights.layers[index];
  const bool sparse = trunk.hyper.layers[index].sparse;
  if (sparse && !trunk.spec->experts_beside_mlp) return sparse_mlp(ctx, trunk, layer, x, x);
  Table sum = dense_mlp(ctx, trunk, x, layer[Role::gate], layer[Role::up], layer[Role::down],
                        trunk.hyper.layers[index].gate_cut);
  for (float& value : sum.values) value *= trunk.hyper.mlp_factor;
  if (!sparse) return sum;
  norm(trunk, sum, layer[Role::beside_post_norm]);
  Table routed = before, own = before;
  norm(trunk, routed, layer[Role::router_scale]);
  for (float& value : routed.values) value /= std::sqrt(static_cast<float>(trunk.hyper.dim));
  norm(trunk, own, layer[Role::experts_norm]);
  Table mixed = sparse_mlp(ctx, trunk, layer, own, routed);
  norm(trunk, mixed, layer[Role::experts_post_norm]);
  add(sum, mixed, 1);
  return sum;
}

// What attention and the mixer give to the stream.
Table mix(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Rows& rows,
          const Table& normed, Table& first_values) {
  const LayerHyper& at = trunk.hyper.layers[index];
  Table sum(normed.rows, trunk.hyper.dim);
  if (at.attends)
    add(sum, attention(ctx, trunk, index, rows, normed), trunk.hyper.attention_factor);
  if (at.recurs) {
    const Table mixed = run_mixer_plainly(ctx, trunk, index, rows, normed, first_values);
    add(sum, multiply(ctx, mixed, trunk.weights.layers[index][Role::mixer_out]),
        trunk.hyper.mixer_factor);
  }
  return sum;
}

// What a token's own vector of the layer makes of x.
Table own_vector(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Table& per_layer,
                 const Table& x) {
  const Layer& layer = trunk.weights.layers[index];
  Table gate = multiply(ctx, x, layer[Role::layer_gate]);
  for (std::size_t i = 0; i < gate.rows; ++i)
    for (std::size_t d = 0; d < gate.dim; ++d)
      gate.row(i)[d] = activation(trunk.hyper.activation, gate.row(i)[d]) *
                       per_layer.row(i)[index * gate.dim + d];
  Table own = multiply(ctx, gate, layer[Role::layer_projection]);
  norm(trunk, own, layer[Role::layer_norm]);
  return own;
}

// The layer is done: streams follow it, the token's own vector is added; then the factor of it all.
void end_layer(ops::Context& ctx, const Trunk& trunk, std::size_t index, Flow& flow) {
  const Layer& layer = trunk.weights.layers[index];
  if (!flow.streams.empty()) {
    correct_plainly(trunk, layer, flow.streams, flow.x);
    flow.x = flow.streams[trunk.hyper.streams.active];
    for (std::size_t i = 0; i < flow.x.values.size() && trunk.hyper.streams.scaled; ++i)
      flow.x.values[i] *= layer[Role::stream_scale].values[i % flow.x.dim];
  }
  if (flow.per_layer.rows > 0) {
    const Table own = own_vector(ctx, trunk, index, flow.per_layer, flow.x);
    if (flow.streams.empty()) add(flow.x, own, 1);
    for (std::size_t s = 1; s < flow.streams.size(); ++s) add(flow.streams[s], own, 1);
  }
  if (layer[Role::layer_scale].present())
    for (float& value : flow.x.values) value *= layer[Role::layer_scale].values.front();
}

// A narrow way beside attention: x = (x + normed + norm(up down normed)) / sqrt(2).
void add_side(ops::Context& ctx, const Trunk& trunk, const Layer& layer, const Table& normed,
              Table& x) {
  if (!layer[Role::side_down].present()) return;
  Table side = multiply(ctx, multiply(ctx, normed, layer[Role::side_down]), layer[Role::side_up]);
  norm(trunk, side, layer[Role::side_norm]);
  for (std::size_t i = 0; i < x.values.size(); ++i)
    x.values[i] = (x.values[i] + normed.values[i] + side.values[i]) / std::sqrt(2.0f);
}

}  // namespace

void block(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Rows& rows, Flow& flow) {
  const Layer& layer = trunk.weights.layers[index];
  const LayerHyper& at = trunk.hyper.layers[index];
  const float scale = trunk.hyper.residual_scale;
  Table& x = flow.x;
  if (!flow.streams.empty()) {
    predict_plainly(trunk, layer, flow.streams);
    x = flow.streams[trunk.hyper.streams.active];
  }
  const Table before = x;
  Table normed = x;
  if (at.attends || at.recurs) {
    norm(trunk, normed, layer[Role::attention_norm]);
    Table branch = mix(ctx, trunk, index, rows, normed, flow.first_values);
    norm(trunk, branch, layer[Role::attention_post_norm]);
    add(x, branch, scale);
    add_side(ctx, trunk, layer, normed, x);
    norm(trunk, x, layer[Role::attention_sum_norm]);
  }
  if (!at.has_mlp) return;
  Table second = trunk.hyper.parallel ? before : x;
  // A parallel block without a norm of its own for the MLP shares the first one.
  if (trunk.hyper.parallel && !layer[Role::mlp_norm].present()) second = normed;
  norm(trunk, second, layer[Role::mlp_norm]);
  if (layer[Role::mlp_lerp].present()) second = follow_plainly(trunk, index, rows, second);
  Table branch = mlp(ctx, trunk, index, second, x);
  norm(trunk, branch, layer[Role::mlp_post_norm]);
  add(x, branch, scale);
  norm(trunk, x, layer[Role::mlp_sum_norm]);
  end_layer(ctx, trunk, index, flow);
}

// What pictures have for this layer.
void add_deep_rows(std::size_t index, const Rows& rows, Table& x) {
  for (std::size_t i = 0; i < rows.inputs.size(); ++i)
    for (std::size_t d = 0; d < x.dim && index < rows.inputs[i].deep_layers; ++d)
      x.row(i)[d] += rows.inputs[i].embedding[(1 + index) * x.dim + d];
}

Table embed(ops::Context& ctx, const Trunk& trunk, const Rows& rows) {
  const Hyper& hyper = trunk.hyper;
  Table x(rows.tokens.size(), hyper.dim);
  Floats other(hyper.dim);
  const auto add_row = [&](const Weight& table, std::size_t index, float* row) {
    if (!table.present()) return;
    read_row(ctx, table.stored, index, other.data());
    for (std::size_t d = 0; d < hyper.dim; ++d) row[d] += other[d];
  };
  for (std::size_t i = 0; i < x.rows; ++i) {
    add_row(trunk.weights.whole[Role::token_embedding], static_cast<std::size_t>(rows.tokens[i]),
            x.row(i));
    for (std::size_t d = 0; d < hyper.dim; ++d) x.row(i)[d] *= hyper.embedding_scale;
    if (!rows.inputs.empty() && rows.inputs[i].embedding != nullptr)
      std::copy_n(rows.inputs[i].embedding, hyper.dim, x.row(i));
    add_row(trunk.weights.whole[Role::position_embedding],
            rows.positions[i] + hyper.position_offset, x.row(i));
    add_row(trunk.weights.whole[Role::type_embedding], rows.types.empty() ? 0 : rows.types[i],
            x.row(i));
  }
  norm(trunk, x, trunk.weights.whole[Role::embedding_norm]);
  return x;
}

namespace {

// The vectors that layers have of their own: of the token, and of its embedding x.
Table embed_for_layers(ops::Context& ctx, const Trunk& trunk, const Rows& rows, const Table& x) {
  const Hyper& hyper = trunk.hyper;
  const Layer& whole = trunk.weights.whole;
  if (hyper.per_layer_dim == 0) return Table(0, 0);
  Table out = multiply(ctx, x, whole[Role::per_layer_projection]);
  for (float& value : out.values) value /= std::sqrt(static_cast<float>(hyper.dim));
  norm(trunk, out, whole[Role::per_layer_norm]);
  Floats own(out.dim);
  for (std::size_t i = 0; i < out.rows; ++i) {
    const ops::StoredMatrix& table = whole[Role::per_layer_embedding].stored;
    const auto token = static_cast<std::size_t>(rows.tokens[i]);
    read_row(ctx, table, token < table.rows ? token : 0, own.data());
    for (std::size_t d = 0; d < out.dim; ++d) {
      const float told = own[d] * std::sqrt(static_cast<float>(hyper.per_layer_dim));
      out.row(i)[d] = (out.row(i)[d] + told) * std::sqrt(0.5f);
    }
  }
  return out;
}

}  // namespace

Status run_plainly(ops::Context& ctx, const Trunk& trunk, const Rows& rows, View hidden,
                   std::stop_token stop) {
  clear_new_states(trunk, rows);
  Table embedded = embed(ctx, trunk, rows);
  Flow flow{embedded, {}, embed_for_layers(ctx, trunk, rows, embedded)};
  if (trunk.hyper.streams.count > 1) flow.streams = spread_plainly(ctx, trunk, embedded);
  for (std::size_t i = 0; i < trunk.hyper.trunk_layers(); ++i) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped between layers");
    block(ctx, trunk, i, rows, flow);
    add_deep_rows(i, rows, flow.x);
  }
  Table& x = flow.x;
  if (!flow.streams.empty()) x = gather_plainly(ctx, trunk, flow.streams);
  norm(trunk, x, trunk.weights.whole[Role::output_norm]);
  for (std::size_t i = 0; i < rows.wanted.size(); ++i)
    std::copy_n(x.row(rows.wanted[i]), x.dim, hidden.row(i));
  if (!trunk.hyper.guesses()) return Done{};
  for (std::size_t i = 0; i < x.rows; ++i) std::copy_n(x.row(i), x.dim, rows.states.row(i));
  Rows kept = rows;  // for later guesses; nothing is wanted of them now
  kept.wanted = {};
  run_mtp_plainly(ctx, trunk, kept, rows.states, {});
  return Done{};
}

void run_mtp_plainly(ops::Context& ctx, const Trunk& trunk, const Rows& rows, View states,
                     View hidden) {
  const std::size_t dim = trunk.hyper.dim, index = trunk.hyper.trunk_layers();
  const Layer& layer = trunk.weights.layers[index];
  Table token = embed(ctx, trunk, rows), before(token.rows, dim), both(token.rows, 2 * dim);
  rows_before(rows, states, View(before.row(0), before.rows, dim));
  norm(trunk, token, layer[Role::mtp_token_norm]);
  norm(trunk, before, layer[Role::mtp_hidden_norm]);
  for (std::size_t i = 0; i < both.rows; ++i) {
    std::copy_n(token.row(i), dim, both.row(i));
    std::copy_n(before.row(i), dim, both.row(i) + dim);
  }
  Flow flow{multiply(ctx, both, layer[Role::mtp_in]), {}, Table(0, 0)};
  block(ctx, trunk, index, rows, flow);
  norm(trunk, flow.x, layer[Role::mtp_norm]);
  for (std::size_t i = 0; i < rows.wanted.size(); ++i)
    std::copy_n(flow.x.row(rows.wanted[i]), dim, hidden.row(i));
}

void logits_plainly(ops::Context& ctx, const Trunk& trunk, View hidden, View logits) {
  Table x(hidden.rows, hidden.dim);
  for (std::size_t i = 0; i < x.rows; ++i) std::copy_n(hidden.row(i), x.dim, x.row(i));
  const Table y = multiply(ctx, x, trunk.weights.whole[Role::output]);
  const float cap = trunk.hyper.output_softcap;
  for (std::size_t i = 0; i < y.rows; ++i)
    for (std::size_t n = 0; n < y.dim; ++n) {
      const float value = y.row(i)[n] * trunk.hyper.logit_scale;
      logits.row(i)[n] = cap > 0 ? cap * std::tanh(value / cap) : value;
    }
}

float score(ops::Context& ctx, const Trunk& trunk, std::span<const float> pooled) {
  Table x(1, pooled.size());
  std::copy(pooled.begin(), pooled.end(), x.row(0));
  const Layer& whole = trunk.weights.whole;
  if (whole[Role::pooler].present()) {
    x = multiply(ctx, x, whole[Role::pooler]);
    const auto f = trunk.spec->pool_activation_gelu ? ops::Activation::gelu : ops::Activation::tanh;
    for (float& value : x.values) value = activation(f, value);
    norm(trunk, x, whole[Role::pooler_norm]);
  }
  if (whole[Role::classifier].present()) x = multiply(ctx, x, whole[Role::classifier]);
  return x.row(0)[0];
}

}  // namespace hearth::models
