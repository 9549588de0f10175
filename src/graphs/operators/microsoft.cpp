// Operators of ONNX Runtime's own domain that exporters of language models emit.
// Source: ONNX Runtime, docs/ContribOperators.md.
#include <algorithm>
#include <cmath>

#include "graphs/infer.h"
#include "graphs/operators/attention.h"
#include "graphs/operators/block_weights.h"
#include "graphs/operators/elementwise.h"
#include "graphs/operators/families.h"
#include "graphs/operators/matmul.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

// [b, s, h * d] to [b, h, s, d].
Result<Tensor> split_heads(Call& call, const Tensor& x, std::int64_t heads) {
  if (x.rank() == 4) return x;
  if (x.rank() != 3 || heads < 1 || x.dims[2] % heads != 0)
    return invalid(fmt::format("{} in {} heads", to_text(x.dims), heads));
  const std::size_t order[] = {0, 2, 1, 3};
  return transposed(call, reshaped(x, {x.dims[0], x.dims[1], heads, x.dims[2] / heads}), order);
}

Result<Tensor> join_heads(Call& call, const Tensor& y) {
  const std::size_t order[] = {0, 2, 1, 3};
  Tensor joined_heads = TRY(transposed(call, y, order));
  joined_heads.dims = {y.dims[0], y.dims[2], y.dims[1] * y.dims[3]};
  return joined_heads;
}

// Turns x [b, h, s, d] by the angles of its positions, row s of sequence b at first[b] + s.
Status rotate(Call& call, Tensor& x, const Tensor& cosines, const Tensor& sines,
              std::span<const std::int64_t> first, bool interleaved) {
  const std::int64_t d = x.dims[3], steps = x.dims[2],
                     half = cosines.rank() == 2 ? cosines.dims[1] : 0;
  if (half < 1 || 2 * half > d || sines.dims != cosines.dims)
    return invalid(fmt::format("angles {} for {}", to_text(cosines.dims), to_text(x.dims)));
  const Numbers<float> from(x), c(cosines), s(sines);
  std::vector<float> result(from.begin(), from.end());
  for (std::int64_t row = 0; row < x.count / d; ++row) {
    const std::int64_t at = first[static_cast<std::size_t>(row / steps / x.dims[1])] + row % steps;
    if (at < 0 || at >= cosines.dims[0])
      return invalid(fmt::format("position {} of {}", at, cosines.dims[0]));
    for (std::int64_t i = 0; i < half; ++i) {
      const auto p = static_cast<std::size_t>(row * d + (interleaved ? 2 * i : i));
      const std::size_t q = interleaved ? p + 1 : p + static_cast<std::size_t>(half);
      const float cosine = c[static_cast<std::size_t>(at * half + i)],
                  sine = s[static_cast<std::size_t>(at * half + i)];
      result[p] = cosine * from[p] - sine * from[q];
      result[q] = sine * from[p] + cosine * from[q];
    }
  }
  Tensor turned = TRY(call.scratch(x.type, x.dims));
  put(turned, std::span<const float>(result));
  x = std::move(turned);
  return Done{};
}

// Keys and values [b, h, total, d]: what was there, then what is new, each sequence after its own
// past.
Result<Tensor> grown(Call& call, const Tensor& x, const Tensor* past,
                     std::span<const std::int64_t> before, std::int64_t total) {
  const std::int64_t room = std::max(total, past == nullptr ? 0 : past->dims[2]);
  Tensor all = TRY(call.scratch(x.type, {x.dims[0], x.dims[1], room, x.dims[3]}));
  fill_zero(all);
  const auto row = x.dims[3] * static_cast<std::int64_t>(size_of(x.type));
  for (std::int64_t h = 0; h < x.dims[0] * x.dims[1]; ++h) {
    const std::int64_t old = before[static_cast<std::size_t>(h / x.dims[1])];
    if (past != nullptr && old > 0)
      std::memcpy(all.bytes + h * room * row, past->bytes + h * past->dims[2] * row,
                  static_cast<std::size_t>(std::min(old, past->dims[2]) * row));
    const std::int64_t n = std::clamp<std::int64_t>(room - old, 0, x.dims[2]);
    std::memcpy(all.bytes + (h * room + old) * row, x.bytes + h * x.dims[2] * row,
                static_cast<std::size_t>(n * row));
  }
  return all;
}

Status group_query_attention(Call& call) {
  const std::int64_t heads = call.integer("num_heads", 0),
                     kv_heads = call.integer("kv_num_heads", 0);
  const Tensor* query = TRY(call.tensor(0));
  if (query->rank() != 3 || heads < 1 || kv_heads < 1 || heads > (1 << 16) || heads % kv_heads != 0)
    return invalid(fmt::format("{} in {} and {} heads", to_text(query->dims), heads, kv_heads));
  AttentionJob job;
  if (call.has(1)) {
    job.q = TRY(split_heads(call, *query, heads));
    job.k = TRY(split_heads(call, *TRY(call.tensor(1)), kv_heads));
    job.v = TRY(split_heads(call, *TRY(call.tensor(2)), kv_heads));
  } else {  // one after another in each row
    const Tensor all = TRY(split_heads(call, *query, heads + 2 * kv_heads));
    job.q = TRY(part(call, all, 1, 0, heads));
    job.k = TRY(part(call, all, 1, heads, kv_heads));
    job.v = TRY(part(call, all, 1, heads + kv_heads, kv_heads));
  }
  const std::int64_t batch = job.q.dims[0], steps = job.q.dims[2];
  const auto lengths = TRY(call.integers(5));  // keys of each sequence, less one
  if (static_cast<std::int64_t>(lengths.size()) != batch || job.k.dims[2] != job.v.dims[2] ||
      job.k.dims[0] != batch || job.k.dims[2] != steps)
    return invalid("sequence lengths or keys of another size");
  const Tensor *past_k = call.tensor_or_null(3), *past_v = call.tensor_or_null(4);
  for (const auto& [past, now] : {std::pair(past_k, &job.k), std::pair(past_v, &job.v)})
    if (past != nullptr &&
        (past->rank() != 4 || past->dims[0] != batch || past->dims[1] != kv_heads ||
         past->dims[3] != now->dims[3] || past->type != now->type))
      return invalid(fmt::format("a past of {}", to_text(past->dims)));
  std::int64_t total = 0;
  for (const std::int64_t length : lengths) {
    if (length < 0 || length >= (std::int64_t{1} << 32))
      return invalid(fmt::format("a length of {}", length));
    job.valid.push_back(length + 1);
    job.offsets.push_back(std::max<std::int64_t>(0, length + 1 - steps));
    total = std::max(total, length + 1);
  }
  if (call.integer("do_rotary", 0) != 0) {
    const bool interleaved = call.integer("rotary_interleaved", 0) != 0;
    for (Tensor* x : {&job.q, &job.k})
      TRY(rotate(call, *x, *TRY(call.tensor(7)), *TRY(call.tensor(8)), job.offsets, interleaved));
  }
  job.k = TRY(grown(call, job.k, past_k, job.offsets, total));
  job.v = TRY(grown(call, job.v, past_v, job.offsets, total));
  const Dims full{batch, heads, steps, job.k.dims[2]};
  Tensor bias;
  if (const Tensor* mask = call.tensor_or_null(10)) {
    bias = TRY(bias_from_mask(call, *mask, full, job));
    job.bias = &bias;
  }
  if (call.has(11)) {
    for (const double sink : TRY(call.reals(11))) job.sinks.push_back(static_cast<float>(sink));
    if (static_cast<std::int64_t>(job.sinks.size()) != heads)
      return invalid("head_sink of another size");
  } else if (call.integer("smooth_softmax", 0) > 0) {
    job.sinks.assign(static_cast<std::size_t>(heads), 0.0f);
  }
  const std::int64_t window = call.integer("local_window_size", -1);
  job.left = window > 0 ? window - 1 : -1;
  job.causal = true;
  job.scale = call.real("scale", 0);
  job.softcap = call.real("softcap", 0);
  Tensor y = TRY(call.scratch(query->type, {batch, heads, steps, job.v.dims[3]}));
  TRY(attend(call, job, y, nullptr));
  call.give(0, TRY(join_heads(call, y)));
  call.give(1, job.k);
  call.give(2, job.v);
  return Done{};
}

// x [b, s, n] + bias[first, first + n).
Result<Tensor> biased(Call& call, const Tensor& x, const Tensor* bias, std::int64_t first) {
  if (bias == nullptr) return x;
  const std::int64_t n = x.dims.back();
  if (bias->rank() != 1 || first + n > bias->count)
    return invalid(fmt::format("a bias of {}", to_text(bias->dims)));
  const Numbers<float> from(x), add(*bias);
  std::vector<float> sum(from.begin(), from.end());
  for (std::size_t i = 0; i < sum.size(); ++i)
    sum[i] += add[static_cast<std::size_t>(first) + i % static_cast<std::size_t>(n)];
  Tensor y = TRY(call.scratch(x.type, x.dims));
  put(y, std::span<const float>(sum));
  return y;
}

// key_padding_mask: [b] lengths, or [b, keys] with 0 for padding.
Result<Tensor> padding_bias(Call& call, std::size_t i, std::int64_t batch, std::int64_t keys,
                            AttentionJob& job) {
  const auto mask = TRY(call.integers(i));
  Tensor bias = TRY(call.scratch(Element::f32, {batch, 1, 1, keys}));
  const bool lengths = static_cast<std::int64_t>(mask.size()) == batch;
  if (!lengths && static_cast<std::int64_t>(mask.size()) != batch * keys)
    return unsupported(fmt::format("a mask of {} numbers", mask.size()));
  for (std::int64_t at = 0; at < batch * keys; ++at) {
    const bool seen = lengths ? at % keys < mask[static_cast<std::size_t>(at / keys)]
                              : mask[static_cast<std::size_t>(at)] != 0;
    bias.data<float>()[at] = seen ? 0 : -INFINITY;
  }
  job.bias_strides[0] = keys;
  job.bias_strides[3] = 1;
  return bias;
}

Status multi_head_attention(Call& call) {
  const std::int64_t heads = call.integer("num_heads", 0);
  const Tensor* query = TRY(call.tensor(0));
  const Tensor *key = call.tensor_or_null(1), *value = call.tensor_or_null(2),
               *bias = call.tensor_or_null(3);
  if (query->rank() != 3 || key == nullptr || value == nullptr)
    return unsupported("packed queries, keys and values");
  const std::int64_t width = query->dims[2];
  AttentionJob job;
  job.q = TRY(split_heads(call, TRY(biased(call, *query, bias, 0)), heads));
  const bool crossed = key->rank() == 4;  // [b, h, s, d] already
  job.k = crossed ? *key : TRY(split_heads(call, TRY(biased(call, *key, bias, width)), heads));
  job.v =
      crossed ? *value : TRY(split_heads(call, TRY(biased(call, *value, bias, 2 * width)), heads));
  const Tensor *past_k = call.tensor_or_null(6), *past_v = call.tensor_or_null(7);
  if (past_k != nullptr && past_v != nullptr) {
    const Tensor *ks[] = {past_k, &job.k}, *vs[] = {past_v, &job.v};
    if (past_k->rank() != 4 || past_v->rank() != 4)
      return invalid("a past of other than four axes");
    job.offsets = {past_k->dims[2]};
    job.k = TRY(joined(call, ks, 2));
    job.v = TRY(joined(call, vs, 2));
  }
  const Dims full{job.q.dims[0], heads, job.q.dims[2], job.k.dims[2]};
  Tensor added;
  if (call.has(4) && call.has(5)) return unsupported("a padding mask and a bias together");
  if (call.has(4)) added = TRY(padding_bias(call, 4, full[0], full[3], job));
  if (call.has(5)) added = TRY(bias_from_mask(call, *TRY(call.tensor(5)), full, job));
  if (added.type != Element::none) job.bias = &added;
  job.scale = call.real("scale", 0);
  job.causal = call.integer("unidirectional", 0) != 0;
  if (job.v.rank() != 4) return invalid("values of other than four axes");
  Tensor y = TRY(call.scratch(query->type, {full[0], heads, full[2], job.v.dims[3]}));
  TRY(attend(call, job, y, nullptr));
  call.give(0, TRY(join_heads(call, y)));
  call.give(1, job.k);
  call.give(2, job.v);
  return Done{};
}

// Attention with the product for queries, keys and values within: weights [width, 3 * hidden].
Status fused_attention(Call& call) {
  const std::int64_t heads = call.integer("num_heads", 0);
  const Tensor* x = TRY(call.tensor(0));
  const Tensor all = TRY(matmul(call, *x, *TRY(call.tensor(1))));
  if (x->rank() != 3 || heads < 1 || all.dims[2] % (3 * heads) != 0 ||
      call.has_attribute("qkv_hidden_sizes"))
    return unsupported(fmt::format("{} in {} heads", to_text(all.dims), heads));
  const Tensor sum = TRY(biased(call, all, call.tensor_or_null(2), 0));
  const std::int64_t hidden = sum.dims[2] / 3;
  AttentionJob job;
  job.q = TRY(split_heads(call, TRY(part(call, sum, 2, 0, hidden)), heads));
  job.k = TRY(split_heads(call, TRY(part(call, sum, 2, hidden, hidden)), heads));
  job.v = TRY(split_heads(call, TRY(part(call, sum, 2, 2 * hidden, hidden)), heads));
  if (const Tensor* past = call.tensor_or_null(4)) {  // [2, b, h, s, d]
    if (past->rank() != 5 || past->dims[0] != 2)
      return invalid(fmt::format("a past of {}", to_text(past->dims)));
    const Dims one(past->dims.begin() + 1, past->dims.end());
    const Tensor pk = reshaped(TRY(part(call, *past, 0, 0, 1)), one),
                 pv = reshaped(TRY(part(call, *past, 0, 1, 1)), one);
    const Tensor *ks[] = {&pk, &job.k}, *vs[] = {&pv, &job.v};
    job.offsets = {one[2]};
    job.k = TRY(joined(call, ks, 2));
    job.v = TRY(joined(call, vs, 2));
  }
  const Dims full{job.q.dims[0], heads, job.q.dims[2], job.k.dims[2]};
  Tensor added;
  if (call.has(3))
    added = TRY(padding_bias(call, 3, full[0], full[3], job));
  else if (call.has(5))
    added = TRY(bias_from_mask(call, *TRY(call.tensor(5)), full, job));
  if (added.type != Element::none) job.bias = &added;
  job.causal = call.integer("unidirectional", 0) != 0;
  job.scale = call.real("scale", 0);
  Tensor y = TRY(call.scratch(x->type, {full[0], heads, full[2], job.v.dims[3]}));
  TRY(attend(call, job, y, nullptr));
  call.give(0, TRY(join_heads(call, y)));
  if (!call.wants(1)) return Done{};
  Tensor k = job.k, v = job.v;
  for (Tensor* each : {&k, &v}) each->dims.insert(each->dims.begin(), 1);
  const Tensor* present[] = {&k, &v};
  call.give(1, TRY(joined(call, present, 0)));
  return Done{};
}

// y = alpha * op(a) * op(b).
Status fused_matmul(Call& call) {
  Tensor sides[2] = {*TRY(call.tensor(0)), *TRY(call.tensor(1))};
  constexpr std::string_view names[] = {"transA", "transB"};
  if (call.integer("transBatchA", 0) != 0 || call.integer("transBatchB", 0) != 0)
    return unsupported("transBatch");
  for (int i = 0; i < 2; ++i) {
    const std::size_t rank = sides[i].rank();
    if (call.integer(names[i], 0) == 0 || rank < 2) continue;
    std::vector<std::size_t> order;
    for (std::size_t k = 0; k < rank; ++k) order.push_back(k);
    std::swap(order[rank - 1], order[rank - 2]);
    sides[i] = TRY(transposed(call, sides[i], order));
  }
  Tensor y = TRY(matmul(call, sides[0], sides[1]));
  const double alpha = call.real("alpha", 1);
  if (alpha != 1) {
    const Numbers<double> numbers(y);
    std::vector<double> scaled(numbers.begin(), numbers.end());
    for (double& value : scaled) value *= alpha;
    put(y, std::span<const double>(scaled));
  }
  call.give(0, std::move(y));
  return Done{};
}

// gelu(x + bias).
Status biased_gelu(Call& call, bool by_tanh) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* bias = call.tensor_or_null(1);
  if (bias != nullptr && (x->rank() == 0 || bias->count != x->dims.back()))
    return invalid("a bias of another size");
  const Numbers<float> from(*x), add(bias == nullptr ? Tensor() : *bias);
  std::vector<float> result(from.begin(), from.end());
  for (std::size_t i = 0; i < result.size(); ++i) {
    const float v = result[i] + (bias == nullptr ? 0 : add[i % add.size()]);
    const float gate = by_tanh ? std::tanh(0.7978845608f * (v + 0.044715f * v * v * v))
                               : std::erf(v * 0.7071067812f);
    result[i] = 0.5f * v * (1 + gate);
  }
  put(*TRY(call.make(0, x->type, x->dims)), std::span<const float>(result));
  return Done{};
}
Status bias_gelu(Call& call) { return biased_gelu(call, false); }
Status fast_gelu(Call& call) { return biased_gelu(call, true); }

constexpr Operator rows[] = {
    {"com.microsoft.MatMulNBits", matmul_nbits, nullptr, 3, 6},
    {"hearth.MatMulNBits", matmul_packed, nullptr, 3, 6},
    {"com.microsoft.GatherBlockQuantized", gather_block_quantized, nullptr, 3, 4},
    {"com.microsoft.GroupQueryAttention", group_query_attention, nullptr, 6, 14},
    {"com.microsoft.MultiHeadAttention", multi_head_attention, nullptr, 3, 8},
    {"com.microsoft.Attention", fused_attention, nullptr, 2, 6},
    {"com.microsoft.FusedMatMul", fused_matmul, nullptr, 2, 2},
    {"com.microsoft.TransposeMatMul", fused_matmul, nullptr, 2, 2},
    {"com.microsoft.BiasGelu", bias_gelu, infer_same, 2, 2},
    {"com.microsoft.FastGelu", fast_gelu, infer_same, 1, 2},
};

}  // namespace

std::span<const Operator> microsoft_operators() { return rows; }

}  // namespace hearth::graphs
