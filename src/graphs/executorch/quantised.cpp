// Operators that store numbers in 8 bits or fewer.
// Source: ExecuTorch, kernels/quantized/quantized.yaml; PyTorch, quantized_decomposed: what they
// compute.
#include <fmt/core.h>

#include <algorithm>

#include "graphs/call.h"
#include "graphs/executorch/quanta.h"

namespace hearth::graphs::executorch {

Levels levels_of(Element type) {
  switch (type) {
    case Element::u8:
      return {0, 255};
    case Element::i16:
      return {-32768, 32767};
    case Element::u16:
      return {0, 65535};
    case Element::i8:
      return {-128, 127};
    default:
      return {-2147483648.0, 2147483647.0};
  }
}

Quanta choose_quanta(Emitter& b, ValueId low, ValueId high, Levels levels, double eps) {
  const auto number = [&](double v) { return b.scalar(static_cast<float>(v)); };
  low = b.emit("Min", {low, number(0)});
  high = b.emit("Max", {high, number(0)});
  const ValueId scale = b.emit(
      "Max",
      {b.emit("Div", {b.emit("Sub", {high, low}), number(levels.high - levels.low)}), number(eps)});
  const ValueId least = b.emit("Div", {low, scale}), most = b.emit("Div", {high, scale});
  // The zero point by the end whose own rounding is smaller.
  const ValueId sum =
      b.emit("Add", {b.emit("Add", {least, most}), number(levels.low + levels.high)});
  const ValueId by_low = b.emit("Greater", {sum, number(0)});
  const ValueId zero = b.emit("Where", {by_low, b.emit("Sub", {number(levels.low), least}),
                                        b.emit("Sub", {number(levels.high), most})});
  return {scale,
          b.emit("Round", {b.emit("Clip", {zero, number(levels.low), number(levels.high)})})};
}

ValueId to_levels(Emitter& b, ValueId x, const Quanta& quanta, Levels levels, Element type) {
  const ValueId whole =
      b.emit("Add", {b.emit("Round", {b.emit("Div", {x, quanta.scale})}), quanta.zero});
  return b.cast(b.emit("Clip", {whole, b.scalar(static_cast<float>(levels.low)),
                                b.scalar(static_cast<float>(levels.high))}),
                type);
}

ValueId from_levels(Emitter& b, ValueId q, const Quanta& quanta) {
  return b.emit("Mul", {b.emit("Sub", {b.cast(q, Element::f32), quanta.zero}), quanta.scale});
}

namespace {

// A constant with these numbers.
Result<ValueId> numbers_of(Emitter& b, Element type, const Dims& dims,
                           std::span<const std::int64_t> numbers) {
  Tensor tensor = TRY(make_tensor(type, dims));
  if (tensor.count != static_cast<std::int64_t>(numbers.size()))
    return corrupt(fmt::format("{} numbers", numbers.size()));
  store(type, tensor.bytes, Work::i64, numbers.data(), numbers.size());
  return b.constant(std::move(tensor));
}

bool is_small(Element type) { return size_of(type) <= 2 && is_integer(type); }

}  // namespace

Result<ValueId> quantise(Emitter& b, ValueId x, float scale, std::int64_t zero, Levels levels,
                         Element type) {
  if (!is_small(type))
    return to_levels(b, x, {b.scalar(scale), b.scalar(static_cast<float>(zero))}, levels, type);
  const ValueId point = TRY(numbers_of(b, type, {}, std::array{zero}));
  const ValueId y = b.emit("QuantizeLinear", {x, b.scalar(scale), point});
  const Levels all = levels_of(type);
  if (levels.low <= all.low && levels.high >= all.high) return y;
  const auto bound = [&](double v) {
    return numbers_of(b, type, {}, std::array{static_cast<std::int64_t>(v)});
  };
  return b.emit("Clip", {y, TRY(bound(std::max(levels.low, all.low))),
                         TRY(bound(std::min(levels.high, all.high)))});
}

Result<ValueId> dequantise(Emitter& b, ValueId q, float scale, std::int64_t zero, Element type) {
  if (!is_small(type))
    return from_levels(b, q, {b.scalar(scale), b.scalar(static_cast<float>(zero))});
  return b.emit("DequantizeLinear",
                {q, b.scalar(scale), TRY(numbers_of(b, type, {}, std::array{zero}))});
}

ValueId unpacked(Emitter& b, ValueId bytes, unsigned bits, bool high_first, std::int64_t low) {
  const ValueId whole = b.emit("Unsqueeze", {b.cast(bytes, Element::i32), b.integers({-1})});
  const unsigned parts = 8 / bits;
  Tensor units = make_tensor(Element::i32, {parts}).value();
  for (unsigned i = 0; i < parts; ++i)
    units.data<std::int32_t>()[i] = 1 << (bits * (high_first ? parts - 1 - i : i));
  const ValueId size = b.cast(b.integer(std::int64_t{1} << bits), Element::i32);
  const ValueId codes = b.emit(
      "hearth.FloorMod", {b.emit("hearth.FloorDiv", {whole, b.constant(std::move(units))}), size});
  const ValueId shifted = b.emit("Add", {codes, b.cast(b.integer(low), Element::i32)});
  // The last two axes together.
  const ValueId shape = b.emit("Shape", {codes});
  const ValueId before =
      b.emit("Slice", {shape, b.integers({0}), b.integers({-2}), b.integers({0})});
  const ValueId joint = b.emit("Concat", {before, b.integers({-1})}, {{"axis", std::int64_t{0}}});
  return b.emit("Reshape", {shifted, joint});
}

namespace {

std::size_t last(const Op& op) { return op.count() - 1; }

Result<Levels> levels_at(Op& op, std::size_t i) {
  return Levels{static_cast<double>(TRY(op.integer(i))),
                static_cast<double>(TRY(op.integer(i + 1)))};
}

// (x, scale, zero, min, max, dtype, out): scale and zero are numbers or tensors.
Status quantise_tensor(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(op.type(last(op)));
  const ValueId x = TRY(op.in(0, Element::f32));
  const Levels levels = TRY(levels_at(op, 3));
  if (op.is_tensor(1)) {
    const Quanta quanta{TRY(op.in(1, Element::f32)), TRY(op.in(2, Element::f32))};
    return op.give(last(op), to_levels(b, x, quanta, levels, type));
  }
  return op.give(last(op), TRY(quantise(b, x, static_cast<float>(TRY(op.real(1))),
                                        TRY(op.integer(2)), levels, type)));
}

// (q, scale, zero, min, max, dtype, out dtype?, out)
Status dequantise_tensor(Op& op) {
  Emitter& b = op.b();
  const ValueId q = TRY(op.in(0));
  if (op.is_tensor(1)) {
    const Quanta quanta{TRY(op.in(1, Element::f32)), TRY(op.in(2, Element::f32))};
    return op.give(last(op), from_levels(b, q, quanta), Element::f32);
  }
  return op.give(last(op),
                 TRY(dequantise(b, q, static_cast<float>(TRY(op.real(1))), TRY(op.integer(2)),
                                TRY(op.type(0)))),
                 Element::f32);
}

// Scales and zero points along one axis, in a shape that broadcasts.
Result<Quanta> along_axis(Op& op, std::size_t axis) {
  Emitter& b = op.b();
  const std::size_t rank = TRY(op.rank(0));
  if (axis >= rank) return corrupt(fmt::format("axis {} of {}", axis, rank));
  Dims dims(rank, 1);
  dims[axis] = -1;
  const auto shaped = [&](ValueId id) { return b.emit("Reshape", {id, b.integers(dims)}); };
  const ValueId zero = op.is_null(2) ? b.scalar(0) : shaped(TRY(op.in(2, Element::f32)));
  return Quanta{shaped(TRY(op.in(1, Element::f32))), zero};
}

Result<std::size_t> axis_at(Op& op, std::size_t i) {
  const std::int64_t axis = TRY(op.integer(i)), rank = static_cast<std::int64_t>(TRY(op.rank(0)));
  return checked_axis(axis, static_cast<std::size_t>(rank));
}

// (x, scales, zeros, axis, min, max, dtype, out)
Status quantise_channels(Op& op) {
  const Quanta quanta = TRY(along_axis(op, TRY(axis_at(op, 3))));
  return op.give(last(op), to_levels(op.b(), TRY(op.in(0, Element::f32)), quanta,
                                     TRY(levels_at(op, 4)), TRY(op.type(last(op)))));
}

// Constant 8-bit weights stay what they are until the graph is made ready to run.
Status dequantise_channels(Op& op) {
  Emitter& b = op.b();
  const std::size_t axis = TRY(axis_at(op, 3));
  const Element type = TRY(op.type(0));
  const std::optional<Tensor> zeros =
      op.is_null(2) ? std::optional<Tensor>() : TRY(op.flow.constant(TRY(op.arg(2))));
  if (is_small(type) && zeros) {
    std::vector<std::int64_t> whole(static_cast<std::size_t>(zeros->count));
    load(Work::i64, whole.data(), zeros->type, zeros->bytes, whole.size());
    const ValueId zero = TRY(numbers_of(b, type, {zeros->count}, whole));
    const ValueId scale = b.emit("Reshape", {TRY(op.in(1, Element::f32)), b.integers({-1})});
    return op.give(last(op),
                   b.emit("DequantizeLinear", {TRY(op.in(0)), scale, zero},
                          {{"axis", static_cast<std::int64_t>(axis)}}),
                   Element::f32);
  }
  return op.give(last(op), from_levels(b, TRY(op.in(0)), TRY(along_axis(op, axis))), Element::f32);
}

// choose_qparams(x, min, max, eps, dtype, scale, zero)
Status choose_for_tensor(Op& op) {
  Emitter& b = op.b();
  const ValueId x = TRY(op.in(0, Element::f32));
  const Attributes flat{{"keepdims", std::int64_t{0}}};
  const Quanta quanta =
      choose_quanta(b, b.emit("ReduceMin", {x}, flat), b.emit("ReduceMax", {x}, flat),
                    TRY(levels_at(op, 1)), TRY(op.real(3)));
  for (std::size_t i = 0; i < 2; ++i) {
    const TensorSpec* to = TRY(op.spec(5 + i));
    const ValueId one =
        b.emit("Reshape", {i == 0 ? quanta.scale : quanta.zero, b.integers(to->dims)});
    TRY(op.give(5 + i, one, Element::f32));
  }
  return Done{};
}

// choose_qparams_per_token_asymmetric(x, dtype, scales, zeros): of the rows of the last axis.
Status choose_for_rows(Op& op) {
  Emitter& b = op.b();
  const ValueId x = TRY(op.in(0, Element::f32));
  const ValueId axis = b.integers({-1});
  const Quanta quanta = choose_quanta(b, b.emit("ReduceMin", {x, axis}),
                                      b.emit("ReduceMax", {x, axis}), {-128, 127}, 1.1920929e-7);
  TRY(op.give(2, quanta.scale, Element::f32));
  return op.give(3, quanta.zero, Element::f32);
}

// (x, scales, zeros, min, max, dtype, out): those of a row are beside it.
Status quantise_rows(Op& op) {
  const Quanta quanta{TRY(op.in(1, Element::f32)), TRY(op.in(2, Element::f32))};
  return op.give(last(op), to_levels(op.b(), TRY(op.in(0, Element::f32)), quanta,
                                     TRY(levels_at(op, 3)), TRY(op.type(last(op)))));
}

Status dequantise_rows(Op& op) {
  const Quanta quanta{TRY(op.in(1, Element::f32)), TRY(op.in(2, Element::f32))};
  return op.give(last(op), from_levels(op.b(), TRY(op.in(0)), quanta), Element::f32);
}

// embedding_*(weight, scales, zeros?, min, max, indices, ..., out): only the rows that are asked
// for become real numbers.
Status embedding(Op& op) {
  Emitter& b = op.b();
  const ValueId at = TRY(op.in(5));
  const auto rows = [&](std::size_t i) -> Result<ValueId> {
    return b.emit("Gather", {TRY(op.in(i)), at}, {{"axis", std::int64_t{0}}});
  };
  ValueId codes = TRY(rows(0));
  const bool is_byte = op.name.starts_with("quantized_decomposed::embedding_byte");
  std::int64_t parts = 1;
  if (!is_byte) {
    const bool is_four = op.name.starts_with("quantized_decomposed::embedding_4bit");
    codes = is_four ? unpacked(b, codes, 4, true, -8) : unpacked(b, codes, 2, false, -2);
    parts = is_four ? 2 : 4;
  }
  const TensorSpec *weight = TRY(op.spec(0)), *scales = TRY(op.spec(1));
  if (weight->dims.size() != 2 || scales->dims.empty()) return corrupt("no table");
  const std::int64_t groups = scales->dims.size() == 2 ? scales->dims[1] : 1;
  const std::int64_t width = weight->dims[1] * parts;
  if (groups < 1 || width % groups != 0) return corrupt(fmt::format("{} groups", groups));
  // [..., groups, width / groups] by [..., groups, 1].
  const ValueId shape = b.emit("Shape", {at});
  const auto as = [&](const Ints& tail, ValueId id) {
    return b.emit("Reshape",
                  {id, b.emit("Concat", {shape, b.integers(tail)}, {{"axis", std::int64_t{0}}})});
  };
  const ValueId zeros =
      op.is_null(2) ? b.scalar(0) : as({groups, 1}, b.cast(TRY(rows(2)), Element::f32));
  const Quanta quanta{as({groups, 1}, b.cast(TRY(rows(1)), Element::f32)), zeros};
  const ValueId real = from_levels(b, as({groups, width / groups}, codes), quanta);
  return op.give(last(op), as({width}, real), Element::f32);
}

// mixed_mm(x, weight [in, out], scales, zeros?, out); mixed_linear(x, weight [out, in], ...):
// weights by rows, in groups where there are several scales for each.
Status mixed_product(Op& op) {
  Emitter& b = op.b();
  const bool is_linear = op.name == "quantized_decomposed::mixed_linear.out";
  const TensorSpec *weight = TRY(op.spec(1)), *scales = TRY(op.spec(2));
  if (weight->dims.size() != 2) return corrupt("weights of other than two axes");
  const std::int64_t n = weight->dims[0], k = weight->dims[1];
  const std::int64_t groups = scales->dims.size() == 2 ? scales->dims[1] : 1;
  if (groups < 1 || k % groups != 0) return corrupt(fmt::format("{} groups", groups));
  const auto by_groups = [&](std::size_t i) -> Result<ValueId> {
    return b.emit("Reshape", {TRY(op.in(i, Element::f32)), b.integers({n, groups, 1})});
  };
  const Quanta quanta{TRY(by_groups(2)), op.is_null(3) ? b.scalar(0) : TRY(by_groups(3))};
  const ValueId codes = b.emit("Reshape", {TRY(op.in(1)), b.integers({n, groups, k / groups})});
  ValueId w = b.emit("Reshape", {from_levels(b, codes, quanta), b.integers({n, k})});
  if (is_linear) w = b.transposed(w, {1, 0});
  return op.give(last(op), b.emit("MatMul", {TRY(op.in(0, Element::f32)), w}), Element::f32);
}

// add(a, scale, zero, min, max, b, scale, zero, min, max, scale, zero, min, max, out)
Status sum(Op& op) {
  Emitter& b = op.b();
  ValueId parts[2];
  for (std::size_t i = 0; i < 2; ++i)
    parts[i] = TRY(dequantise(b, TRY(op.in(5 * i)), static_cast<float>(TRY(op.real(5 * i + 1))),
                              TRY(op.integer(5 * i + 2)), TRY(op.type(5 * i))));
  const ValueId y = b.emit("Add", {parts[0], parts[1]});
  return op.give(last(op),
                 TRY(quantise(b, y, static_cast<float>(TRY(op.real(10))), TRY(op.integer(11)),
                              TRY(levels_at(op, 12)), TRY(op.type(last(op))))));
}

constexpr Kernel kernels[] = {
    {"quantized_decomposed::quantize_per_tensor.out", quantise_tensor},
    {"quantized_decomposed::quantize_per_tensor.Tensor_out", quantise_tensor},
    {"quantized_decomposed::dequantize_per_tensor.out", dequantise_tensor},
    {"quantized_decomposed::dequantize_per_tensor.Tensor_out", dequantise_tensor},
    {"quantized_decomposed::quantize_per_channel.out", quantise_channels},
    {"quantized_decomposed::dequantize_per_channel.out", dequantise_channels},
    {"quantized_decomposed::choose_qparams.Tensor_out", choose_for_tensor},
    {"quantized_decomposed::choose_qparams_per_token_asymmetric.out", choose_for_rows},
    {"quantized_decomposed::quantize_per_token.out", quantise_rows},
    {"quantized_decomposed::dequantize_per_token.out", dequantise_rows},
    {"quantized_decomposed::embedding_byte.out", embedding},
    {"quantized_decomposed::embedding_byte.dtype_out", embedding},
    {"quantized_decomposed::embedding_2bit.out", embedding},
    {"quantized_decomposed::embedding_2bit.dtype_out", embedding},
    {"quantized_decomposed::embedding_4bit.out", embedding},
    {"quantized_decomposed::embedding_4bit.dtype_out", embedding},
    {"quantized_decomposed::mixed_mm.out", mixed_product},
    {"quantized_decomposed::mixed_linear.out", mixed_product},
    {"quantized_decomposed::add.out", sum},
    {"cortex_m::quantize_per_tensor.out", quantise_tensor},
    {"cortex_m::dequantize_per_tensor.out", dequantise_tensor},
};

}  // namespace

std::span<const Kernel> quantised_kernels() { return kernels; }

}  // namespace hearth::graphs::executorch
