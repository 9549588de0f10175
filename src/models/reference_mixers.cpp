// The plain path of latents and of what recurs: token by token, from the equations.
#include <algorithm>
#include <cmath>

#include "models/reference.h"
#include "models/values.h"

namespace hearth::models {
namespace {

void norm(float* x, std::size_t n, const float* w, float eps) {
  const double scale = 1 / std::sqrt(dot(x, x, n) / static_cast<double>(n) + eps);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(x[i] * scale * w[i]);
}

float softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }
float silu(float x) { return activation(ops::Activation::silu, x); }

// w x for one expert or head of a weight.
Floats times(ops::Context& ctx, const ops::StoredMatrix& w, const float* x) {
  Table row(1, w.columns);
  std::copy_n(x, w.columns, row.row(0));
  return multiply(ctx, row, w, {}).values;
}

Table queries(ops::Context& ctx, const Trunk& trunk, const Layer& layer, const Table& x) {
  if (trunk.hyper.latent.q_rank == 0) return multiply(ctx, x, layer[Role::q]);
  Table narrow = multiply(ctx, x, layer[Role::q_a]);
  for (std::size_t i = 0; i < narrow.rows; ++i)
    norm(narrow.row(i), narrow.dim, layer[Role::q_a_norm].values.data(), trunk.hyper.norm_eps);
  return multiply(ctx, narrow, layer[Role::q_b]);
}

// A part of every `each` columns, turned by position.
void turn_part(const Trunk& trunk, std::size_t index, const Rows& rows, Table& x, std::size_t each,
               std::size_t first) {
  const std::size_t turning = trunk.hyper.latent.turning;
  for (std::size_t begin = first; begin < x.dim; begin += each) {
    Table part(x.rows, turning);
    for (std::size_t i = 0; i < x.rows; ++i) std::copy_n(x.row(i) + begin, turning, part.row(i));
    turn(trunk, part, turning, rows, trunk.ropes.table(trunk.uses_local_rope(index)));
    for (std::size_t i = 0; i < x.rows; ++i) std::copy_n(part.row(i), turning, x.row(i) + begin);
  }
}

// The latent of one position and the part of its key that turns.
Floats latent_at(const Trunk& trunk, std::size_t index, const ops::KvSequence& sequence,
                 std::size_t position) {
  const ops::KvLayer& kv = trunk.kv.layers[index];
  std::byte* page = sequence.pages[position / ops::kv_page_tokens];
  Floats out(kv.key_dim);
  for (std::size_t e = 0; e < out.size(); ++e)
    out[e] = *key_at(kv, page, position % ops::kv_page_tokens, e);
  return out;
}

// One head of one row: its query by the keys and values that the latents stand for.
void attend_head(ops::Context& ctx, const Trunk& trunk, std::size_t index, std::size_t head,
                 const float* q, const std::vector<Floats>& latents, float* out) {
  const Hyper& hyper = trunk.hyper;
  const Layer& layer = trunk.weights.layers[index];
  const std::size_t plain = hyper.latent.plain, rank = hyper.latent.kv_rank;
  const ops::StoredMatrix& keys = layer[Role::k_b].stored_experts[head];
  Floats scores;
  double highest = -INFINITY;
  for (const Floats& latent : latents) {
    Floats key(plain), row(plain);
    for (std::size_t r = 0; r < rank; ++r) {
      read_row(ctx, keys, r, row.data());
      for (std::size_t d = 0; d < plain; ++d) key[d] += row[d] * latent[r];
    }
    const double score =
        dot(q, key.data(), plain) + dot(q + plain, latent.data() + rank, hyper.latent.turning);
    scores.push_back(static_cast<float>(score * static_cast<double>(hyper.attention_scale)));
    highest = std::max(highest, static_cast<double>(scores.back()));
  }
  double sum = 0;
  for (float& score : scores) sum += score = static_cast<float>(std::exp(score - highest));
  std::fill_n(out, hyper.value_dim, 0.0f);
  for (std::size_t t = 0; t < latents.size(); ++t) {
    const Floats value = times(ctx, layer[Role::v_b].stored_experts[head], latents[t].data());
    for (std::size_t d = 0; d < value.size(); ++d)
      out[d] += static_cast<float>(scores[t] / sum) * value[d];
  }
}

}  // namespace

std::vector<RowRun> plain_runs(const Trunk& trunk, std::size_t index, const Rows& rows) {
  std::vector<RowRun> runs;
  for (std::size_t i = 0; i < rows.places.size(); ++i) {
    if (i > 0 && rows.places[i - 1].sequence == rows.places[i].sequence)
      ++runs.back().count;
    else
      runs.push_back(run_from(trunk, index, rows, i));
  }
  return runs;
}

void keep_certain_plainly(const RowRun& run, std::size_t row, std::size_t first,
                          std::size_t floats) {
  if (run.guesses > 0 && row + 1 == run.first + run.certain_rows())
    std::copy_n(run.state + first, floats, run.certain + first);
}

namespace {

// The convolution over the columns of x, which begins with the state's last inputs.
Table convolve(const Trunk& trunk, const Layer& layer, std::span<const RowRun> runs,
               const Table& x) {
  const std::size_t taps = trunk.hyper.mixer.kernel, held = taps - 1;
  const Weight& w = layer[Role::mixer_conv];
  Table y(x.rows, x.dim);
  for (const RowRun& run : runs)
    for (std::size_t c = 0; c < x.dim; ++c) {
      Floats input;
      for (std::size_t k = 0; k < held; ++k) input.push_back(run.state[k * x.dim + c]);
      for (std::size_t i = 0; i < run.count; ++i) input.push_back(x.row(run.first + i)[c]);
      for (std::size_t i = 0; i < run.count; ++i) {
        double sum = w.bias.empty() ? 0.0f : w.bias[c];
        for (std::size_t k = 0; k < taps; ++k)
          sum += static_cast<double>(w.values[k * x.dim + c]) * input[i + k];
        y.row(run.first + i)[c] = static_cast<float>(sum);
      }
      for (std::size_t k = 0; k < held; ++k) run.state[k * x.dim + c] = input[run.count + k];
      for (std::size_t k = 0; run.guesses > 0 && k < held; ++k)
        run.certain[k * x.dim + c] = input[run.certain_rows() + k];
    }
  return y;
}

std::size_t group_of(const MixerHyper& mixer, std::size_t head) {
  return mixer.tiled ? head % mixer.groups : head / (mixer.heads / mixer.groups);
}

Table short_conv(ops::Context& ctx, const Trunk& trunk, const Layer& layer,
                 std::span<const RowRun> runs, const Table& x) {
  const std::size_t dim = trunk.hyper.mixer.inner();
  const Table in = multiply(ctx, x, layer[Role::mixer_in]);
  Table input(x.rows, dim);
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t d = 0; d < dim; ++d) input.row(i)[d] = in.row(i)[d] * in.row(i)[2 * dim + d];
  Table y = convolve(trunk, layer, runs, input);
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t d = 0; d < dim; ++d) y.row(i)[d] *= in.row(i)[dim + d];
  return y;
}

// s = exp(step * rate) s + step x b^T; y = s c + D x.  Source: Dao and Gu 2024, section 7.
void mamba_token(const MixerHyper& mixer, const Layer& layer, std::size_t head, const float* input,
                 float raw_step, float* state, float* out) {
  const std::size_t dim = mixer.head_dim, states = mixer.state;
  const float* x = input + head * dim;
  const float* b = input + mixer.inner() + group_of(mixer, head) * states;
  const float* c = b + mixer.groups * states;
  float step = softplus(raw_step + layer[Role::mixer_step].values[head]);
  if (mixer.step_max > 0) step = std::clamp(step, mixer.step_min, mixer.step_max);
  const float decay = std::exp(step * layer[Role::mixer_decay].values[head]);
  for (std::size_t d = 0; d < dim; ++d) {
    double sum = layer[Role::mixer_skip].values[head] * x[d];
    for (std::size_t n = 0; n < states; ++n) {
      float& s = state[n * dim + d];
      s = decay * s + step * x[d] * b[n];
      sum += static_cast<double>(c[n]) * s;
    }
    out[d] = static_cast<float>(sum);
  }
}

Table mamba(ops::Context& ctx, const Trunk& trunk, const Layer& layer, std::span<const RowRun> runs,
            const Table& x) {
  const MixerHyper& mixer = trunk.hyper.mixer;
  const std::size_t inner = mixer.inner(), channels = mixer.channels();
  Table in = multiply(ctx, x, layer[Role::mixer_in]);
  const std::size_t keys = (channels - inner) / 2;
  for (std::size_t i = 0; i < in.rows; ++i)
    for (std::size_t d = 0; d < in.dim; ++d) {
      const std::size_t part = d < inner                  ? 0
                               : d < 2 * inner            ? 1
                               : d < 2 * inner + keys     ? 2
                               : d < 2 * inner + 2 * keys ? 3
                                                          : 4;
      in.row(i)[d] *= mixer.factors_in[part];
    }
  Table input(x.rows, channels), y(x.rows, inner);
  for (std::size_t i = 0; i < x.rows; ++i) std::copy_n(in.row(i) + inner, channels, input.row(i));
  input = convolve(trunk, layer, runs, input);
  for (float& value : input.values) value = silu(value);
  for (const RowRun& run : runs)
    for (std::size_t i = run.first; i < run.first + run.count; ++i) {
      for (std::size_t head = 0; head < mixer.heads; ++head)
        mamba_token(mixer, layer, head, input.row(i), in.row(i)[inner + channels + head],
                    run.state + mixer.tail() + head * mixer.state * mixer.head_dim,
                    y.row(i) + head * mixer.head_dim);
      keep_certain_plainly(run, i, mixer.tail(), mixer.matrix());
    }
  const Weight& w = layer[Role::mixer_norm];
  const std::size_t width = inner / mixer.groups;
  for (std::size_t i = 0; i < x.rows; ++i) {
    const auto norm_groups = [&] {
      for (std::size_t first = 0; w.present() && first < inner; first += width)
        norm(y.row(i) + first, width, w.values.data() + first, trunk.hyper.norm_eps);
    };
    if (mixer.gate_after_norm) norm_groups();
    for (std::size_t d = 0; d < inner; ++d) y.row(i)[d] *= silu(in.row(i)[d]);
    if (!mixer.gate_after_norm) norm_groups();
  }
  return y;
}

// s = g s; s += k (beta (v - s^T k))^T; y = s^T q.  Source: Yang et al. 2024, equation 10.
void delta_token(const MixerHyper& mixer, const Layer& layer, std::size_t head, const float* input,
                 float b, float a, float* state, float* out) {
  constexpr double eps = 1e-6;
  const std::size_t keys = mixer.state, values = mixer.head_dim;
  const float* q = input + group_of(mixer, head) * keys;
  const float* k = q + mixer.groups * keys;
  const float* v = input + 2 * mixer.groups * keys + head * values;
  const double q_length = std::sqrt(dot(q, q, keys) + eps) * std::sqrt(static_cast<double>(keys));
  const double k_length = std::sqrt(dot(k, k, keys) + eps);
  const double decay = std::exp(layer[Role::mixer_decay].values[head] *
                                softplus(a + layer[Role::mixer_step].values[head]));
  const double beta = activation(ops::Activation::sigmoid, b);
  for (std::size_t d = 0; d < values; ++d) {
    double held = 0, sum = 0;
    for (std::size_t n = 0; n < keys; ++n) held += decay * state[n * values + d] * k[n] / k_length;
    for (std::size_t n = 0; n < keys; ++n) {
      float& s = state[n * values + d];
      s = static_cast<float>(decay * s + k[n] / k_length * beta * (v[d] - held));
      sum += s * q[n] / q_length;
    }
    out[d] = static_cast<float>(sum);
  }
}

Table gated_delta(ops::Context& ctx, const Trunk& trunk, const Layer& layer,
                  std::span<const RowRun> runs, const Table& x) {
  const MixerHyper& mixer = trunk.hyper.mixer;
  Table input = convolve(trunk, layer, runs, multiply(ctx, x, layer[Role::mixer_qkv]));
  for (float& value : input.values) value = silu(value);
  const Table gate = multiply(ctx, x, layer[Role::mixer_z]);
  const Table b = multiply(ctx, x, layer[Role::mixer_b]),
              a = multiply(ctx, x, layer[Role::mixer_a]);
  Table y(x.rows, mixer.inner());
  const std::size_t dim = mixer.head_dim;
  for (const RowRun& run : runs)
    for (std::size_t i = run.first; i < run.first + run.count; ++i) {
      for (std::size_t head = 0; head < mixer.heads; ++head) {
        float* out = y.row(i) + head * dim;
        delta_token(mixer, layer, head, input.row(i), b.row(i)[head], a.row(i)[head],
                    run.state + mixer.tail() + head * mixer.state * dim, out);
        norm(out, dim, layer[Role::mixer_norm].values.data(), trunk.hyper.norm_eps);
      }
      keep_certain_plainly(run, i, mixer.tail(), mixer.matrix());
    }
  for (std::size_t i = 0; i < y.values.size(); ++i) y.values[i] *= silu(gate.values[i]);
  return y;
}

}  // namespace

Table attend_latent(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Rows& rows,
                    const Table& x) {
  const Hyper& hyper = trunk.hyper;
  const Layer& layer = trunk.weights.layers[index];
  const std::size_t rank = hyper.latent.kv_rank;
  const ops::KvLayer& kv = trunk.kv.layers[index];
  Table q = queries(ctx, trunk, layer, x);
  turn_part(trunk, index, rows, q, hyper.head_dim, hyper.latent.plain);
  Table k = multiply(ctx, x, layer[Role::kv_a]);
  for (std::size_t i = 0; i < k.rows; ++i)
    norm(k.row(i), rank, layer[Role::kv_a_norm].values.data(), hyper.norm_eps);
  turn_part(trunk, index, rows, k, k.dim, rank);
  for (std::size_t i = 0; i < x.rows; ++i) {
    const auto& [sequence, position] = rows.places[i];
    std::byte* page = rows.sequences[sequence].pages[position / ops::kv_page_tokens];
    const std::size_t token = position % ops::kv_page_tokens;
    for (std::size_t e = 0; e < k.dim; ++e) *key_at(kv, page, token, e) = k.row(i)[e];
    for (std::size_t e = 0; e < rank; ++e) *value_at(kv, page, token, e) = k.row(i)[e];
  }
  Table mixed(x.rows, std::size_t{hyper.heads} * hyper.value_dim);
  for (std::size_t i = 0; i < x.rows; ++i) {
    const auto& [sequence, position] = rows.places[i];
    std::vector<Floats> latents;
    for (std::size_t t = first_seen(hyper.layers[index], position); t <= position; ++t)
      latents.push_back(latent_at(trunk, index, rows.sequences[sequence], t));
    for (std::size_t head = 0; head < hyper.heads; ++head)
      attend_head(ctx, trunk, index, head, q.row(i) + head * hyper.head_dim, latents,
                  mixed.row(i) + head * hyper.value_dim);
  }
  return multiply(ctx, mixed, layer[Role::attention_out]);
}

Table run_mixer_plainly(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Rows& rows,
                        const Table& x, Table& first_values) {
  const Layer& layer = trunk.weights.layers[index];
  const auto runs = plain_runs(trunk, index, rows);
  switch (trunk.hyper.mixer.kind) {
    case MixerKind::short_conv:
      return short_conv(ctx, trunk, layer, runs, x);
    case MixerKind::mamba2:
      return mamba(ctx, trunk, layer, runs, x);
    case MixerKind::gated_delta:
      return gated_delta(ctx, trunk, layer, runs, x);
    case MixerKind::rwkv7:
      return rwkv_plainly(ctx, trunk, layer, runs, x, index == 0, first_values);
    case MixerKind::none:
      break;
  }
  return x;
}

}  // namespace hearth::models
