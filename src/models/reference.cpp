// The plain path: loops over f32, one row and one weight at a time, from the same ArchSpec as the
// fast path.  Every other way to run a model is held to this one, and this one to Hugging Face.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "models/trunk.h"
#include "models/values.h"

namespace hearth::models {
namespace {

using Floats = std::vector<float>;

// [rows, dim], row after row.
struct Table {
  std::size_t rows = 0, dim = 0;
  Floats values;

  Table(std::size_t row_count, std::size_t width)
      : rows(row_count), dim(width), values(row_count * width) {}
  float* row(std::size_t i) { return values.data() + i * dim; }
  const float* row(std::size_t i) const { return values.data() + i * dim; }
};

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

// Every row; nothing where the model has no such norm.
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

void turn(const Trunk& trunk, Table& x, const Rows& rows, const ops::RopeTable& rope) {
  const std::size_t head_dim = trunk.hyper.head_dim;
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
  const std::size_t dim = hyper.head_dim, group = hyper.heads / hyper.layers[layer].kv_heads;
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
      out[head * dim + d] = static_cast<float>(mix / sum);
    }
  }
}

// Where an f32 page keeps element (head, d) of a token's key or value.
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

Table attend_cached(const Trunk& trunk, std::size_t layer, const Rows& rows, const Table& q,
                    const Table& k, const Table& v) {
  constexpr std::size_t page_tokens = ops::kv_page_tokens;
  const ops::KvLayer& kv = trunk.kv.layers[layer];
  for (std::size_t i = 0; i < q.rows; ++i) {
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
    const std::uint32_t window = trunk.hyper.layers[layer].window;
    const std::size_t first = window > 0 && position + 1 > window ? position + 1 - window : 0;
    const std::size_t last = position + (rows.inputs.empty() ? 0 : rows.inputs[i].ahead);
    Table keys(last + 1 - first, k.dim), values(last + 1 - first, v.dim);
    Sight sight;
    for (std::size_t t = first; t <= last; ++t) {
      std::byte* page = rows.sequences[sequence].pages[t / page_tokens];
      for (std::size_t e = 0; e < k.dim; ++e) {
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

Table attention(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Rows& rows,
                const Table& x) {
  const Layer& layer = trunk.weights.layers[index];
  Table q = multiply(ctx, x, layer[Role::q]);
  Table k = multiply(ctx, x, layer[Role::k]);
  const Table v = multiply(ctx, x, layer[Role::v]);
  norm(trunk, q, layer[Role::q_norm]);
  norm(trunk, k, layer[Role::k_norm]);
  if (trunk.hyper.layers[index].rotates) {
    const ops::RopeTable rope = trunk.ropes.table(trunk.uses_local_rope(index));
    turn(trunk, q, rows, rope);
    turn(trunk, k, rows, rope);
  }
  const Table mixed = trunk.spec->kind == Kind::generator
                          ? attend_cached(trunk, index, rows, q, k, v)
                          : attend_both_ways(trunk, index, rows, q, k, v);
  return multiply(ctx, mixed, layer[Role::attention_out]);
}

Table dense_mlp(ops::Context& ctx, const Trunk& trunk, const Table& x, const Weight& gate_weight,
                const Weight& up_weight, const Weight& down_weight) {
  Table up = multiply(ctx, x, up_weight);
  if (trunk.spec->mlp == MlpKind::plain) {
    for (float& value : up.values) value = activation(trunk.hyper.activation, value);
    return multiply(ctx, up, down_weight);
  }
  Table gate = multiply(ctx, x, gate_weight);
  gated(trunk, gate, up);
  return multiply(ctx, gate, down_weight);
}

std::span<const float> bias_of(const Weight& w, std::size_t expert, std::size_t rows) {
  return w.bias.empty() ? std::span<const float>() : std::span(w.bias).subspan(expert * rows, rows);
}

// The experts of one row with their shares, best first.
std::vector<std::pair<std::size_t, float>> choose(const Hyper& hyper, const float* logits) {
  std::vector<std::pair<std::size_t, float>> all;
  const float highest = *std::max_element(logits, logits + hyper.experts);
  double sum = 0;
  for (std::size_t e = 0; e < hyper.experts; ++e) {
    all.emplace_back(e, std::exp(logits[e] - highest));
    sum += all.back().second;
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  all.resize(hyper.experts_used);
  if (hyper.normalise_experts) {
    sum = 0;
    for (const auto& chosen : all) sum += chosen.second;
  }
  for (auto& chosen : all)
    chosen.second = static_cast<float>(chosen.second / sum) * hyper.expert_scale;
  return all;
}

Table sparse_mlp(ops::Context& ctx, const Trunk& trunk, const Layer& layer, const Table& x) {
  const Table logits = multiply(ctx, x, layer[Role::router]);
  Table out(x.rows, x.dim);
  const std::size_t hidden = trunk.hyper.expert_hidden;
  for (std::size_t i = 0; i < x.rows; ++i) {
    Table row(1, x.dim);
    std::copy_n(x.row(i), x.dim, row.row(0));
    for (const auto& [e, share] : choose(trunk.hyper, logits.row(i))) {
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
                                 layer[Role::shared_down]);
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

Table mlp(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Table& x) {
  const Layer& layer = trunk.weights.layers[index];
  if (trunk.hyper.layers[index].sparse) return sparse_mlp(ctx, trunk, layer, x);
  return dense_mlp(ctx, trunk, x, layer[Role::gate], layer[Role::up], layer[Role::down]);
}

void add(Table& x, const Table& y, float scale) {
  for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += scale * y.values[i];
}

void block(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Rows& rows, Table& x) {
  const Layer& layer = trunk.weights.layers[index];
  const float scale = trunk.hyper.residual_scale;
  Table normed = x;
  norm(trunk, normed, layer[Role::attention_norm]);
  Table branch = attention(ctx, trunk, index, rows, normed);
  norm(trunk, branch, layer[Role::attention_post_norm]);

  Table second = trunk.hyper.parallel ? x : Table(0, 0);
  add(x, branch, scale);
  norm(trunk, x, layer[Role::attention_sum_norm]);
  if (!trunk.hyper.parallel) second = x;
  // A parallel block without a norm of its own for the MLP shares the first one.
  if (trunk.hyper.parallel && !layer[Role::mlp_norm].present()) second = normed;
  norm(trunk, second, layer[Role::mlp_norm]);
  branch = mlp(ctx, trunk, index, second);
  norm(trunk, branch, layer[Role::mlp_post_norm]);
  add(x, branch, scale);
  norm(trunk, x, layer[Role::mlp_sum_norm]);
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

}  // namespace

Status run_plainly(ops::Context& ctx, const Trunk& trunk, const Rows& rows, View hidden,
                   std::stop_token stop) {
  Table x = embed(ctx, trunk, rows);
  for (std::size_t i = 0; i < trunk.hyper.layers.size(); ++i) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped between layers");
    block(ctx, trunk, i, rows, x);
  }
  norm(trunk, x, trunk.weights.whole[Role::output_norm]);
  for (std::size_t i = 0; i < rows.wanted.size(); ++i)
    std::copy_n(x.row(rows.wanted[i]), x.dim, hidden.row(i));
  return Done{};
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
