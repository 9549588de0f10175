// Attention whose state is a matrix: LinearAttention.
// Source: ONNX operator specification, LinearAttention (version 27).
#include <cmath>

#include "graphs/operators/families.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

struct Job {
  std::int64_t batch, steps, q_heads, kv_heads, dk, dv;
  bool gated, delta, decay_by_key, beta_by_head;
  float scale;
};

// One head of one sequence.  state: [dk, dv].
void run_head(const Job& j, std::int64_t b, std::int64_t h, const float* q, const float* k,
              const float* v, const float* decay, const float* beta, float* state, float* out) {
  const std::int64_t share = j.q_heads / j.kv_heads;
  std::vector<float> seen(static_cast<std::size_t>(j.dv));
  for (std::int64_t t = 0; t < j.steps; ++t) {
    const std::int64_t row = b * j.steps + t;
    const float* key = k + (row * j.kv_heads + h) * j.dk;
    const float* value = v + (row * j.kv_heads + h) * j.dv;
    for (std::int64_t i = 0; j.gated && i < j.dk; ++i) {
      const float g =
          j.decay_by_key ? decay[(row * j.kv_heads + h) * j.dk + i] : decay[row * j.kv_heads + h];
      const float factor = std::exp(g);
      for (std::int64_t c = 0; c < j.dv; ++c) state[i * j.dv + c] *= factor;
    }
    std::fill(seen.begin(), seen.end(), 0.0f);
    for (std::int64_t i = 0; j.delta && i < j.dk; ++i)
      for (std::int64_t c = 0; c < j.dv; ++c)
        seen[static_cast<std::size_t>(c)] += state[i * j.dv + c] * key[i];
    const float rate = !j.delta ? 1 : beta[j.beta_by_head ? row * j.kv_heads + h : row];
    for (std::int64_t i = 0; i < j.dk; ++i)
      for (std::int64_t c = 0; c < j.dv; ++c)
        state[i * j.dv + c] += rate * key[i] * (value[c] - seen[static_cast<std::size_t>(c)]);
    for (std::int64_t s = 0; s < share; ++s) {
      const std::int64_t head = h * share + s;
      const float* query = q + (row * j.q_heads + head) * j.dk;
      float* to = out + (row * j.q_heads + head) * j.dv;
      std::fill_n(to, j.dv, 0.0f);
      for (std::int64_t i = 0; i < j.dk; ++i)
        for (std::int64_t c = 0; c < j.dv; ++c) to[c] += query[i] * state[i * j.dv + c];
      for (std::int64_t c = 0; c < j.dv; ++c) to[c] *= j.scale;
    }
  }
}

Status linear_attention(Call& call) {
  const Tensor* q = TRY(call.tensor(0));
  const Tensor* k = TRY(call.tensor(1));
  const Tensor* v = TRY(call.tensor(2));
  const Tensor* past = call.tensor_or_null(3);
  const Tensor* decay = call.tensor_or_null(4);
  const Tensor* beta = call.tensor_or_null(5);
  const std::string_view rule = call.text("update_rule", "gated_delta");
  Job j{};
  j.gated = rule.starts_with("gated");
  j.delta = rule.ends_with("delta");
  if (!j.gated && !j.delta && rule != "linear")
    return unsupported(fmt::format("update_rule '{}'", rule));
  j.q_heads = call.integer("q_num_heads", 0);
  j.kv_heads = call.integer("kv_num_heads", 0);
  if (q->rank() != 3 || k->rank() != 3 || v->rank() != 3 || j.q_heads < 1 || j.kv_heads < 1 ||
      j.q_heads % j.kv_heads != 0 || q->dims[2] % j.q_heads != 0 || k->dims[2] % j.kv_heads != 0 ||
      v->dims[2] % j.kv_heads != 0)
    return invalid(fmt::format("{} and {} heads of {}, {}, {}", j.q_heads, j.kv_heads,
                               to_text(q->dims), to_text(k->dims), to_text(v->dims)));
  j.batch = q->dims[0];
  j.steps = q->dims[1];
  j.dk = q->dims[2] / j.q_heads;
  j.dv = v->dims[2] / j.kv_heads;
  const std::int64_t rows = j.batch * j.steps, states = j.batch * j.kv_heads * j.dk * j.dv;
  if (k->dims != Dims{j.batch, j.steps, j.kv_heads * j.dk} || v->dims[0] != j.batch ||
      v->dims[1] != j.steps || (past != nullptr && past->count != states))
    return invalid("keys, values or state of other sizes");
  if (j.gated) {
    if (decay == nullptr) return invalid("decay: absent");
    j.decay_by_key = decay->count == rows * j.kv_heads * j.dk && decay->count != rows * j.kv_heads;
    if (!j.decay_by_key && decay->count != rows * j.kv_heads)
      return invalid(fmt::format("decay {}", to_text(decay->dims)));
  }
  if (j.delta) {
    if (beta == nullptr) return invalid("beta: absent");
    j.beta_by_head = beta->count == rows * j.kv_heads;
    if (!j.beta_by_head && beta->count != rows)
      return invalid(fmt::format("beta {}", to_text(beta->dims)));
  }
  const double scale = call.real("scale", 0);
  j.scale = static_cast<float>(scale == 0 ? 1 / std::sqrt(static_cast<double>(j.dk)) : scale);
  const Numbers<float> qs(*q), ks(*k), vs(*v), ps(past == nullptr ? Tensor() : *past),
      ds(decay == nullptr ? Tensor() : *decay), bs(beta == nullptr ? Tensor() : *beta);
  std::vector<float> state(static_cast<std::size_t>(states), 0.0f),
      out(static_cast<std::size_t>(rows * j.q_heads * j.dv));
  if (past != nullptr) std::copy(ps.begin(), ps.end(), state.begin());
  parallel(call.machine, j.batch * j.kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; ++at)
      run_head(j, at / j.kv_heads, at % j.kv_heads, qs.data(), ks.data(), vs.data(), ds.data(),
               bs.data(), state.data() + at * j.dk * j.dv, out.data());
  });
  put(*TRY(call.make(0, q->type, {j.batch, j.steps, j.q_heads * j.dv})),
      std::span<const float>(out));
  if (!call.wants(1)) return Done{};
  const Element type = past == nullptr ? q->type : past->type;
  put(*TRY(call.make(1, type, {j.batch, j.kv_heads, j.dk, j.dv})), std::span<const float>(state));
  return Done{};
}

constexpr Operator rows[] = {
    {"LinearAttention", linear_attention, nullptr, 3, 6},
    {"com.microsoft.LinearAttention", linear_attention, nullptr, 3, 6},
};

}  // namespace

std::span<const Operator> linear_attention_operators() { return rows; }

}  // namespace hearth::graphs
