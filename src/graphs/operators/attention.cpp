// Attention and rotary embeddings.
// Source: ONNX operator specification, Attention (versions 23 to 25) and RotaryEmbedding (23).
#include "graphs/operators/attention.h"

#include <algorithm>
#include <cmath>

#include "graphs/infer.h"
#include "graphs/operators/families.h"
#include "graphs/operators/move.h"
#include "graphs/walk.h"
#include "kernels/kernels.h"

namespace hearth::graphs {
namespace {

// [b, s, h * d] seen as [b, h, s, d], or four axes as they are.
Result<Tensor> by_heads(Call& call, const Tensor& x, std::int64_t heads) {
  if (x.rank() == 4) return x;
  if (x.rank() != 3 || heads < 1 || x.dims[2] % heads != 0)
    return invalid(fmt::format("{} in {} heads", to_text(x.dims), heads));
  const Tensor apart = reshaped(x, {x.dims[0], x.dims[1], heads, x.dims[2] / heads});
  const std::size_t order[] = {0, 2, 1, 3};
  return transposed(call, apart, order);
}

Result<Tensor> with_past(Call& call, const Tensor& x, const Tensor* past) {
  if (past == nullptr || past->count == 0) return x;
  if (past->rank() != 4) return invalid(fmt::format("a past of {}", to_text(past->dims)));
  const Tensor* parts[] = {past, &x};
  return joined(call, parts, 2);
}

// A number as it is after being stored in the given type.
void round_to(Element type, float* x, std::int64_t n) {
  if (type == Element::f32 || type == Element::f64 || type == Element::none) return;
  std::vector<std::byte> raw(static_cast<std::size_t>(n) * size_of(type));
  store(type, raw.data(), Work::f32, x, static_cast<std::size_t>(n));
  load(Work::f32, x, type, raw.data(), static_cast<std::size_t>(n));
}

}  // namespace

void softmax_masked(float* row, std::int64_t n, float sink, bool has_sink) {
  float most = has_sink ? sink : -INFINITY;
  for (std::int64_t i = 0; i < n; ++i) most = std::max(most, row[i]);
  if (most == -INFINITY) {
    std::fill_n(row, n, 0.0f);
    return;
  }
  double sum = has_sink ? std::exp(static_cast<double>(sink - most)) : 0;
  for (std::int64_t i = 0; i < n; ++i) {
    row[i] = std::exp(row[i] - most);
    sum += row[i];
  }
  for (std::int64_t i = 0; i < n; ++i) row[i] = static_cast<float>(row[i] / sum);
}

Status attend(Call& call, const AttentionJob& job, Tensor& y, std::vector<float>* scores_out) {
  const Tensor &q = job.q, &k = job.k, &v = job.v;
  if (q.rank() != 4 || k.rank() != 4 || v.rank() != 4 || k.dims[0] != q.dims[0] ||
      v.dims[0] != q.dims[0] || k.dims[1] != v.dims[1] || k.dims[2] != v.dims[2] ||
      k.dims[3] != q.dims[3] || k.dims[1] < 1 || q.dims[1] % k.dims[1] != 0)
    return invalid(fmt::format("queries {}, keys {}, values {}", to_text(q.dims), to_text(k.dims),
                               to_text(v.dims)));
  const std::int64_t heads = q.dims[1], share = heads / k.dims[1], rows = q.dims[2],
                     keys = k.dims[2];
  const std::int64_t d = q.dims[3], dv = v.dims[3];
  const Numbers<float> qs(q), ks(k), vs(v), bias(job.bias == nullptr ? Tensor() : *job.bias);
  const float scale =
      job.scale != 0 ? static_cast<float>(job.scale) : 1 / std::sqrt(static_cast<float>(d));
  const kernels::Kernels* table = call.machine.ctx == nullptr ? nullptr : call.machine.ctx->kernels;
  std::vector<float> result(static_cast<std::size_t>(y.count));
  parallel(call.machine, q.dims[0] * heads * rows, 4, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> row(static_cast<std::size_t>(keys));
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t b = at / rows / heads, h = at / rows % heads, r = at % rows;
      const std::int64_t kv = b * k.dims[1] + h / share;
      const float* query = qs.data() + at * d;
      for (std::int64_t t = 0; t < keys; ++t) {
        const float* key = ks.data() + (kv * keys + t) * d;
        float sum = 0;
        if (table != nullptr)
          sum = table->dot(query, key, static_cast<std::size_t>(d));
        else
          for (std::int64_t i = 0; i < d; ++i) sum += query[i] * key[i];
        row[static_cast<std::size_t>(t)] = sum * scale;
      }
      float* s = row.data();
      const auto keep = [&](int mode) {
        if (scores_out != nullptr && job.scores_mode == mode)
          std::copy_n(s, keys, scores_out->data() + at * keys);
      };
      keep(0);
      if (job.softcap > 0)
        for (std::int64_t t = 0; t < keys; ++t)
          s[t] = static_cast<float>(job.softcap * std::tanh(s[t] / job.softcap));
      keep(1);
      if (job.bias != nullptr)
        for (std::int64_t t = 0; t < keys; ++t)
          s[t] += bias[static_cast<std::size_t>(job.bias_place(b, h, r, t))];
      const std::int64_t here = job.offset_of(b) + r, valid = job.valid_of(b, keys);
      for (std::int64_t t = 0; t < keys; ++t) {
        const bool hidden = t >= valid || (job.causal && t > here) ||
                            (job.left >= 0 && t < here - job.left) ||
                            (job.right >= 0 && t > here + job.right);
        if (hidden) s[t] = -INFINITY;
      }
      keep(2);
      round_to(job.softmax_type, s, keys);
      softmax_masked(s, keys, job.sinks.empty() ? 0 : job.sinks[static_cast<std::size_t>(h)],
                     !job.sinks.empty());
      round_to(job.softmax_type, s, keys);
      keep(3);
      float* out = result.data() + at * dv;
      std::fill_n(out, dv, 0.0f);
      for (std::int64_t t = 0; t < keys; ++t) {
        const float* value = vs.data() + (kv * keys + t) * dv;
        if (s[t] != 0)
          for (std::int64_t i = 0; i < dv; ++i) out[i] += s[t] * value[i];
      }
    }
  });
  put(y, std::span<const float>(result));
  return Done{};
}

std::int64_t AttentionJob::bias_place(std::int64_t b, std::int64_t h, std::int64_t r,
                                      std::int64_t t) const {
  return b * bias_strides[0] + h * bias_strides[1] + r * bias_strides[2] + t * bias_strides[3];
}
std::int64_t AttentionJob::offset_of(std::int64_t b) const {
  return offsets.empty() ? 0 : offsets[offsets.size() == 1 ? 0 : static_cast<std::size_t>(b)];
}
std::int64_t AttentionJob::valid_of(std::int64_t b, std::int64_t keys) const {
  return valid.empty() ? keys : valid[static_cast<std::size_t>(b)];
}

Result<Tensor> bias_from_mask(Call& call, const Tensor& mask, const Dims& full, AttentionJob& job) {
  if (mask.rank() > 4) return invalid(fmt::format("a mask of {}", to_text(mask.dims)));
  // A mask shorter than the keys hides those beyond its end.
  const std::int64_t keys = full[3], given = mask.rank() == 0 ? 1 : mask.dims.back();
  Dims dims(4 - mask.rank(), 1);
  dims.insert(dims.end(), mask.dims.begin(), mask.dims.end());
  for (std::size_t i = 0; i < 3; ++i)
    if (dims[i] != 1 && dims[i] != full[i])
      return invalid(fmt::format("a mask of {} for {}", to_text(mask.dims), to_text(full)));
  if (given > keys)
    return invalid(fmt::format("a mask of {} for {} keys", to_text(mask.dims), keys));
  const std::int64_t width = given == 1 ? 1 : keys, rows = dims[0] * dims[1] * dims[2];
  Dims padded = dims;
  padded[3] = width;
  Tensor bias = TRY(call.scratch(Element::f32, padded));
  const Numbers<float> from(mask);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t t = 0; t < width; ++t) {
      float value = t < given ? from[static_cast<std::size_t>(row * given + t)] : 0;
      if (mask.type == Element::boolean) value = value != 0 ? 0 : -INFINITY;
      bias.data<float>()[row * width + t] = t < given ? value : -INFINITY;
    }
  const Dims strides = strides_of(padded);
  for (std::size_t i = 0; i < 4; ++i) job.bias_strides[i] = padded[i] == 1 ? 0 : strides[i];
  return bias;
}

namespace {

Status attention(Call& call) {
  const Tensor* q = TRY(call.tensor(0));
  const bool flat = q->rank() == 3;
  AttentionJob job;
  job.q = TRY(by_heads(call, *q, call.integer("q_num_heads", 0)));
  job.k = TRY(by_heads(call, *TRY(call.tensor(1)), call.integer("kv_num_heads", 0)));
  job.v = TRY(by_heads(call, *TRY(call.tensor(2)), call.integer("kv_num_heads", 0)));
  const Tensor* past = call.tensor_or_null(4);
  const std::int64_t before = past == nullptr || past->rank() != 4 ? 0 : past->dims[2];
  job.k = TRY(with_past(call, job.k, past));
  job.v = TRY(with_past(call, job.v, call.tensor_or_null(5)));
  if (job.q.rank() != 4 || job.k.rank() != 4)
    return invalid("queries and keys need three or four axes");
  const Dims full{job.q.dims[0], job.q.dims[1], job.q.dims[2], job.k.dims[2]};
  job.offsets = {before};
  if (call.has(6)) {
    job.valid = TRY(call.integers(6));
    if (static_cast<std::int64_t>(job.valid.size()) != full[0])
      return invalid("nonpad_kv_seqlen of another size");
    if (past == nullptr) {
      job.offsets = job.valid;
      for (auto& offset : job.offsets) offset -= full[2];
    }
  }
  Tensor bias;
  if (const Tensor* mask = call.tensor_or_null(3)) {
    bias = TRY(bias_from_mask(call, *mask, full, job));
    job.bias = &bias;
  }
  job.causal = call.integer("is_causal", 0) != 0;
  job.left = call.integer("left_window_size", -1);
  job.right = call.integer("right_window_size", -1);
  job.scale = call.real("scale", 0);
  job.softcap = call.real("softcap", 0);
  job.scores_mode = static_cast<int>(call.integer("qk_matmul_output_mode", 0));
  job.softmax_type = static_cast<Element>(call.integer("softmax_precision", 0));
  if (job.v.rank() != 4) return invalid("values need three or four axes");
  Tensor y = TRY(call.scratch(q->type, {full[0], full[1], full[2], job.v.dims[3]}));
  std::vector<float> scores;
  if (call.wants(3)) scores.resize(static_cast<std::size_t>(TRY(count_of(full))));
  TRY(attend(call, job, y, call.wants(3) ? &scores : nullptr));
  if (flat) {
    const std::size_t order[] = {0, 2, 1, 3};
    y = TRY(transposed(call, y, order));
    y.dims = {full[0], full[2], full[1] * job.v.dims[3]};
  }
  call.give(0, std::move(y));
  call.give(1, job.k);
  call.give(2, job.v);
  if (call.wants(3)) put(*TRY(call.make(3, q->type, full)), std::span<const float>(scores));
  return Done{};
}

Status rotary_embedding(Call& call) {
  // The com.microsoft operator has its positions before the caches.
  const bool microsoft = call.node.op->name.starts_with("com.");
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* cosines = TRY(call.tensor(microsoft ? 2 : 1));
  const Tensor* sines = TRY(call.tensor(microsoft ? 3 : 2));
  const std::size_t positions_at = microsoft ? 1 : 3;
  std::int64_t heads = call.integer("num_heads", 0),
               rotated = call.integer("rotary_embedding_dim", 0);
  const bool interleaved = call.integer("interleaved", 0) != 0;
  if (x->rank() != 3 && x->rank() != 4)
    return invalid(fmt::format("{} has not three or four axes", to_text(x->dims)));
  if (x->rank() == 4) heads = x->dims[1];
  if (heads == 0 && x->rank() == 3 && cosines->rank() > 0 && cosines->dims.back() > 0)
    heads = x->dims[2] / (cosines->dims.back() * 2);
  if (heads < 1 || (x->rank() == 3 && x->dims[2] % heads != 0))
    return invalid(fmt::format("{} in {} heads", to_text(x->dims), heads));
  const std::int64_t batch = x->dims[0], steps = x->rank() == 4 ? x->dims[2] : x->dims[1];
  const std::int64_t d = x->rank() == 4 ? x->dims[3] : x->dims[2] / heads;
  if (rotated == 0) rotated = cosines->rank() > 0 && microsoft ? cosines->dims.back() * 2 : d;
  const std::int64_t half = rotated / 2;
  if (rotated < 0 || rotated > d || rotated % 2 != 0 || cosines->rank() == 0 ||
      cosines->dims.back() != half || sines->dims != cosines->dims)
    return invalid(fmt::format("angles {} for {} of {}", to_text(cosines->dims), rotated, d));
  const std::int64_t places = half == 0 ? 0 : cosines->count / half;
  std::vector<std::int64_t> position(static_cast<std::size_t>(batch * steps));
  for (std::int64_t i = 0; i < batch * steps; ++i) position[static_cast<std::size_t>(i)] = i;
  if (call.has(positions_at)) {
    const auto given = TRY(call.integers(positions_at));
    for (std::int64_t i = 0; i < batch * steps; ++i) {
      if (given.size() == 1)
        position[static_cast<std::size_t>(i)] = given[0] + i % steps;
      else if (given.size() == position.size())
        position[static_cast<std::size_t>(i)] = given[static_cast<std::size_t>(i)];
      else
        return invalid(fmt::format("{} positions for {}", given.size(), to_text(x->dims)));
    }
  }
  for (const std::int64_t at : position)
    if (at < 0 || at >= places) return invalid(fmt::format("position {} of {}", at, places));
  const Numbers<float> from(*x), c(*cosines), s(*sines);
  std::vector<float> result(from.begin(), from.end());
  for (std::int64_t row = 0; d > 0 && row < x->count / d; ++row) {
    const std::int64_t b = row / (heads * steps),
                       step = x->rank() == 4 ? row % steps : row / heads % steps;
    const std::int64_t at = position[static_cast<std::size_t>(b * steps + step)] * half;
    for (std::int64_t i = 0; i < half; ++i) {
      const std::int64_t p = row * d + (interleaved ? 2 * i : i),
                         q = interleaved ? p + 1 : p + half;
      const float cosine = c[static_cast<std::size_t>(at + i)],
                  sine = s[static_cast<std::size_t>(at + i)];
      const float re = from[static_cast<std::size_t>(p)], im = from[static_cast<std::size_t>(q)];
      result[static_cast<std::size_t>(p)] = cosine * re - sine * im;
      result[static_cast<std::size_t>(q)] = sine * re + cosine * im;
    }
  }
  put(*TRY(call.make(0, x->type, x->dims)), std::span<const float>(result));
  return Done{};
}

constexpr Operator rows[] = {
    {"Attention", attention, nullptr, 3, 7},
    {"RotaryEmbedding", rotary_embedding, infer_same, 3, 4},
    {"com.microsoft.RotaryEmbedding", rotary_embedding, infer_same, 4, 4},
};

}  // namespace

std::span<const Operator> attention_operators() { return rows; }

}  // namespace hearth::graphs
