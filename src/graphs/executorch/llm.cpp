// The operators that ExecuTorch's language models add to those of PyTorch.
// Source: ExecuTorch, extension/llm/custom_ops: what they compute.
#include <fmt/core.h>

#include <cmath>

#include "graphs/executorch/quanta.h"

namespace hearth::graphs::executorch {
namespace {

std::size_t last(const Op& op) { return op.count() - 1; }

// The extent of an axis, i64 [1].
ValueId extent(Emitter& b, ValueId x, std::int64_t axis) {
  return b.emit("Gather", {b.emit("Shape", {x}), b.integers({axis})}, {{"axis", std::int64_t{0}}});
}

// Writes `value` into the argument's cache from a position on, along axis 1 of [batch, positions,
// heads, dim].
Status write_cache(Op& op, std::size_t cache, std::size_t value, ValueId start) {
  Emitter& b = op.b();
  const ValueId part = TRY(op.in(value, TRY(op.type(cache))));
  const ValueId end = b.emit("Add", {start, extent(b, part, 1)});
  return op.give(cache, b.emit("hearth.SliceUpdate", {TRY(op.in(cache)), part, start, end,
                                                      b.integers({1}), b.integers({1})}));
}

// What an operator that writes elsewhere gives besides: a tensor that nothing reads.
Status give_nothing(Op& op) {
  const std::int32_t out = TRY(op.arg(last(op)));
  const TensorSpec* to = TRY(op.flow.spec(out));
  Tensor zero = TRY(make_tensor(to->type, {}));
  std::memset(zero.bytes, 0, zero.byte_count());
  return op.flow.write(out, op.b().emit("hearth.Fill", {op.b().integers(to->dims),
                                                        op.b().constant(std::move(zero))}));
}

// update_cache(value, cache, start, out)
Status update_cache(Op& op) {
  TRY(write_cache(op, 1, 0, TRY(op.whole(2))));
  return give_nothing(op);
}

// update_cache_with_indices(value, cache, start, indices [batch, positions], out)
Status update_cache_at(Op& op) {
  Emitter& b = op.b();
  const ValueId value = TRY(op.in(0, TRY(op.type(1)))), at = TRY(op.in(3, Element::i64));
  const ValueId batches = b.emit(
      "Unsqueeze",
      {b.emit("Range",
              {b.integer(0), b.emit("Reshape", {extent(b, at, 0), b.integers({})}), b.integer(1)}),
       b.integers({1})});
  const ValueId rows = b.emit("Expand", {batches, b.emit("Shape", {at})});
  const auto column = [&](ValueId id) { return b.emit("Unsqueeze", {id, b.integers({-1})}); };
  const ValueId places = b.emit("Concat", {column(rows), column(at)}, {{"axis", std::int64_t{-1}}});
  TRY(op.give(1, b.emit("ScatterND", {TRY(op.in(1)), places, value})));
  return give_nothing(op);
}

// update_cross_attn_cache(value, cache): [batch, heads, positions, dim]
Status update_cross_cache(Op& op) {
  Emitter& b = op.b();
  const ValueId value = TRY(op.in(0, TRY(op.type(1))));
  const ValueId y =
      b.emit("hearth.SliceUpdate", {TRY(op.in(1)), value, b.integers({0}), extent(b, value, 2),
                                    b.integers({2}), b.integers({1})});
  TRY(op.give(1, y));
  if (TRY(op.arg(last(op))) == TRY(op.arg(1))) return Done{};
  return op.give(last(op), b.emit("Identity", {y}));
}

struct Heads {
  ValueId q, k, v;           // f32; keys and values of the whole cache
  bool at_axis_two = false;  // [batch, heads, positions, dim]; else the two swapped
};

// (start, mask?, dropout, is_causal, scale?) from argument i on.
Status attend(Op& op, Heads heads, std::size_t i) {
  Emitter& b = op.b();
  const std::int64_t axis = heads.at_axis_two ? 2 : 1;
  ValueId mask = absent, valid = absent;
  if (op.is_null(i + 1)) {
    const ValueId end = b.emit("Add", {TRY(op.whole(i)), extent(b, heads.q, axis)});
    for (ValueId* each : {&heads.k, &heads.v})
      *each = b.emit("Slice", {*each, b.integers({0}), end, b.integers({axis})});
    valid = b.emit("Expand", {end, extent(b, heads.q, 0)});
  } else {
    mask = TRY(op.in(i + 1));  // of every position of the cache
  }
  if (!heads.at_axis_two)
    for (ValueId* each : {&heads.q, &heads.k, &heads.v}) *each = b.transposed(*each, {0, 2, 1, 3});
  if (!op.is_null(i + 2) && TRY(op.real(i + 2)) != 0)
    return Error(ErrorKind::unsupported, "dropout");
  Attributes attributes{{"is_causal", TRY(op.integer(i + 3))}};
  if (!op.is_null(i + 4)) attributes["scale"] = TRY(op.real(i + 4));
  ValueId y = b.emit("Attention", {heads.q, heads.k, heads.v, mask, absent, absent, valid},
                     std::move(attributes));
  if (!heads.at_axis_two) y = b.transposed(y, {0, 2, 1, 3});
  return op.give(last(op), y, Element::f32);
}

// custom_sdpa(q, k, v, start, mask?, dropout, is_causal, scale?, out)
Status attention(Op& op) {
  return attend(
      op, {TRY(op.in(0, Element::f32)), TRY(op.in(1, Element::f32)), TRY(op.in(2, Element::f32))},
      3);
}

// sdpa_with_kv_cache(q, k, v, key cache, value cache, start, length, mask?, dropout, is_causal,
// scale?, out)
Status attention_with_cache(Op& op) {
  const ValueId start = TRY(op.whole(5));
  TRY(write_cache(op, 3, 1, start));
  TRY(write_cache(op, 4, 2, start));
  // As custom_sdpa has its arguments: without the length.
  if (op.count() < 12) return corrupt(fmt::format("{} arguments", op.count()));
  std::vector<std::int32_t> rest{op.args[0], op.args[3], op.args[4], op.args[5]};
  rest.insert(rest.end(), op.args.begin() + 7, op.args.end());
  Op inner{op.flow, op.name, rest};
  return attention(inner);
}

// custom_quantized_sdpa(q, k, v, start, mask?, dropout, is_causal, scale?, zero points and scales
// of q, k and v?, is_seq_at_dim_2, out)
Status quantised_attention(Op& op) {
  Emitter& b = op.b();
  Heads heads{};
  ValueId* const to[] = {&heads.q, &heads.k, &heads.v};
  for (std::size_t i = 0; i < 3; ++i) {
    if (op.is_null(8 + 2 * i)) {
      *to[i] = TRY(op.in(i, Element::f32));
      continue;
    }
    const Quanta quanta{TRY(op.in(9 + 2 * i, Element::f32)), TRY(op.in(8 + 2 * i, Element::f32))};
    *to[i] = from_levels(b, TRY(op.in(i)), quanta);
  }
  heads.at_axis_two = TRY(op.flag(14));
  return attend(op, heads, 3);
}

// Products with the Hadamard matrix of 2^n rows over the square root of their number.
Status hadamard(Op& op) {
  constexpr std::int64_t most = 4096;
  Emitter& b = op.b();
  const Dims& dims = TRY(op.spec(0))->dims;
  const std::int64_t n = dims.empty() ? 0 : dims.back();
  if (n < 1 || n > most || (n & (n - 1)) != 0)
    return Error(ErrorKind::unsupported,
                 fmt::format("{} numbers: needs a power of two up to {}", n, most));
  Tensor matrix = TRY(make_tensor(Element::f32, {n, n}));
  const float unit = 1 / std::sqrt(static_cast<float>(n));
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t k = 0; k < n; ++k)
      matrix.data<float>()[i * n + k] =
          __builtin_parityll(static_cast<unsigned long long>(i & k)) != 0 ? -unit : unit;
  return op.give(last(op),
                 b.emit("MatMul", {TRY(op.in(0, Element::f32)), b.constant(std::move(matrix))}),
                 Element::f32);
}

// gated_delta_rule(q, k, v, decay, beta, state, out, new state): [batch, heads, steps, dim], a
// decay for each key or for each step, in (0, 1].
Status gated_delta(Op& op) {
  Emitter& b = op.b();
  const Dims q = TRY(op.spec(0))->dims, k = TRY(op.spec(1))->dims;
  if (q.size() != 4 || k.size() != 4)
    return corrupt(fmt::format("queries {}, keys {}", to_text(q), to_text(k)));
  // [batch, steps, heads * dim], as LinearAttention has them.
  const auto rows = [&](std::size_t i) -> Result<ValueId> {
    const ValueId x = TRY(op.in(i, Element::f32));
    if (TRY(op.spec(i))->dims.size() == 3) return b.transposed(x, {0, 2, 1});
    return b.emit("Reshape", {b.transposed(x, {0, 2, 1, 3}), b.integers({0, 0, -1})});
  };
  const ValueId query = TRY(rows(0)), key = TRY(rows(1)), value = TRY(rows(2)),
                decay = b.emit("Log", {TRY(rows(3))}), beta = TRY(rows(4)),
                state = TRY(op.in(5, Element::f32));
  const auto made = b.emit_many("LinearAttention", {query, key, value, state, decay, beta}, 2,
                                {{"update_rule", std::string("gated_delta")},
                                 {"q_num_heads", q[1]},
                                 {"kv_num_heads", k[1]},
                                 {"scale", 1.0}});
  const ValueId apart = b.emit("Reshape", {made[0], b.integers({0, 0, q[1], -1})});
  TRY(op.give(6, b.transposed(apart, {0, 2, 1, 3}), Element::f32));
  return op.give(7, made[1], Element::f32);
}

constexpr Kernel kernels[] = {
    {"llama::gated_delta_rule.out", gated_delta},
    {"llama::channelwise_gated_delta_rule.out", gated_delta},  // its name before
    {"llama::update_cache.out", update_cache},
    {"llama::update_cache_with_indices.out", update_cache_at},
    {"executorch::update_cross_attn_cache.out", update_cross_cache},
    {"llama::custom_sdpa.out", attention},
    {"llama::sdpa_with_kv_cache.out", attention_with_cache},
    {"llama::custom_quantized_sdpa.out", quantised_attention},
    {"llama::fast_hadamard_transform.out", hadamard},
};

}  // namespace

std::span<const Kernel> llm_kernels() { return kernels; }

}  // namespace hearth::graphs::executorch
