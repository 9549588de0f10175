// Element by element: arithmetic, comparisons, activations, casts; and reductions.
// Source: Core ML Tools, MIL operator reference.
#include <fmt/core.h>

#include <cmath>

#include "graphs/coreml/mil.h"

namespace hearth::graphs::coreml {
namespace {

Status unary(MilOp& op) { return op.give(op.b.emit(op.ours, {TRY(op.in("x"))})); }

Status binary(MilOp& op) {
  const ValueId x = TRY(op.in("x")), y = TRY(op.in("y"));
  return op.give(op.b.emit(op.ours, {x, y}));
}

// of numbers, booleans being numbers other than 0
Status logical(MilOp& op) {
  std::vector<ValueId> inputs;
  for (const std::string_view name : {"x", "y"}) {
    if (!op.has(name)) continue;
    const bool is_boolean = TRY(op.type(name))->element == Element::boolean;
    const ValueId id = TRY(op.in(name));
    inputs.push_back(is_boolean ? id : op.b.cast(id, Element::boolean));
  }
  return op.give(op.b.emit(op.ours, inputs));
}

// MIL's division of integers keeps their type and cuts towards zero; of floats it is exact.
Status real_div(MilOp& op) {
  const ValueId x = TRY(op.in("x")), y = TRY(op.in("y"));
  if (is_float(op.out().element) || !is_integer(TRY(op.type("x"))->element))
    return op.give(op.b.emit("Div", {x, y}));
  return op.give_cast(0,
                      op.b.emit("Div", {op.b.cast(x, Element::f32), op.b.cast(y, Element::f32)}));
}

// An operator of ours that has MIL's parameters as attributes of the same meaning.
Status with_alpha(MilOp& op) {
  return op.give(op.b.emit(op.ours, {TRY(op.in("x"))}, {{"alpha", TRY(op.real("alpha", 1))}}));
}
Status with_alpha_beta(MilOp& op) {
  const double alpha = TRY(op.real("alpha", 1)), beta = TRY(op.real("beta", 0));
  return op.give(op.b.emit(op.ours, {TRY(op.in("x"))}, {{"alpha", alpha}, {"beta", beta}}));
}

Result<ValueId> scalar(MilOp& op, std::string_view name, double fallback) {
  return op.b.scalar(static_cast<float>(TRY(op.real(name, fallback))));
}

// min(beta, x or alpha * x)
Status clamped_relu(MilOp& op) {
  const ValueId y =
      op.b.emit("LeakyRelu", {TRY(op.in("x"))}, {{"alpha", TRY(op.real("alpha", 0))}});
  return op.give(op.b.emit("Min", {y, TRY(scalar(op, "beta", 0))}));
}

Status scaled_tanh(MilOp& op) {
  const ValueId inner = op.b.emit("Mul", {TRY(op.in("x")), TRY(scalar(op, "beta", 1))});
  return op.give(op.b.emit("Mul", {op.b.emit("Tanh", {inner}), TRY(scalar(op, "alpha", 1))}));
}

Status thresholded_relu(MilOp& op) {
  const ValueId x = TRY(op.in("x"));
  const ValueId kept = op.b.emit("GreaterOrEqual", {x, TRY(scalar(op, "alpha", 1))});
  return op.give(op.b.emit("Where", {kept, x, op.b.scalar(0)}));
}

Status threshold(MilOp& op) {
  return op.give(op.b.emit("Max", {TRY(op.in("x")), TRY(scalar(op, "alpha", 0))}));
}

Status clip(MilOp& op) {
  const ValueId x = TRY(op.in("x")), low = TRY(scalar(op, "alpha", 0));
  return op.give(op.b.emit("Clip", {x, low, TRY(scalar(op, "beta", 1))}));
}

// A vector of one number per channel, axis 1, to broadcast over `x`.
Result<ValueId> per_channel(MilOp& op, std::string_view name) {
  Tensor values = TRY(op.constant(name));
  Dims dims(TRY(op.rank("x")), 1);
  if (dims.size() < 2 || values.rank() > 1)
    return Error(ErrorKind::corrupt, fmt::format("'{}': {}", name, to_text(values.dims)));
  if (values.rank() == 1) dims[1] = values.dims[0];
  return op.b.constant(reshaped(values, dims));
}

Status prelu(MilOp& op) {
  const ValueId x = TRY(op.in("x"));
  return op.give(op.b.emit("PRelu", {x, TRY(per_channel(op, "alpha"))}));
}

Status softplus_parametric(MilOp& op) {
  const ValueId inner = op.b.emit("Mul", {TRY(op.in("x")), TRY(per_channel(op, "beta"))});
  return op.give(op.b.emit("Mul", {op.b.emit("Softplus", {inner}), TRY(per_channel(op, "alpha"))}));
}

Status gelu(MilOp& op) {
  const std::string mode = TRY(op.text("mode", "EXACT"));
  const ValueId x = TRY(op.in("x"));
  if (mode == "SIGMOID_APPROXIMATION")
    return op.give(op.b.emit("com.microsoft.QuickGelu", {x}, {{"alpha", 1.702}}));
  if (mode != "EXACT" && mode != "TANH_APPROXIMATION")
    return Error(ErrorKind::unsupported, fmt::format("mode '{}'", mode));
  return op.give(
      op.b.emit("Gelu", {x}, {{"approximate", std::string(mode == "EXACT" ? "none" : "tanh")}}));
}

// f(x + epsilon)
Status shifted(MilOp& op) {
  const double fallback = op.op.type == "log" ? 1e-45 : op.op.type == "rsqrt" ? 1e-12 : 1e-4;
  ValueId x = TRY(op.in("x"));
  if (!is_float(TRY(op.type("x"))->element)) x = op.b.cast(x, Element::f32);
  const double epsilon = TRY(op.real("epsilon", fallback));
  if (epsilon != 0) x = op.b.emit("Add", {x, op.b.scalar(static_cast<float>(epsilon))});
  return op.give(op.b.emit(op.ours, {x}));
}

Status exp2(MilOp& op) {
  constexpr float ln2 = 0.69314718055994530942f;
  return op.give(op.b.emit("Exp", {op.b.emit("Mul", {TRY(op.in("x")), op.b.scalar(ln2)})}));
}

Status square(MilOp& op) { return op.give(op.b.emit("hearth.Square", {TRY(op.in("x"))})); }

Status softmax(MilOp& op) {
  const std::int64_t axis = TRY(op.axis("axis", -1, "x"));
  return op.give(op.b.emit("Softmax", {TRY(op.in("x"))}, {{"axis", axis}}));
}

Status cast(MilOp& op) {
  const std::string word = TRY(op.text("dtype", ""));
  const Element to = element_of(type_in_words(word));
  if (to == Element::none || to == Element::text)
    return Error(ErrorKind::unsupported, fmt::format("dtype '{}'", word));
  const ValueId x = TRY(op.in("x"));
  if (TRY(op.type("x"))->element == to) return op.give(x);
  return op.give(op.b.cast(x, to));
}

Status select(MilOp& op) {
  const bool is_boolean = TRY(op.type("cond"))->element == Element::boolean;
  ValueId condition = TRY(op.in("cond"));
  if (!is_boolean) condition = op.b.cast(condition, Element::boolean);
  const ValueId a = TRY(op.in("a")), b = TRY(op.in("b"));
  return op.give(op.b.emit("Where", {condition, a, b}));
}

Status reduce(MilOp& op) {
  std::vector<ValueId> inputs{TRY(op.in("x"))};
  if (op.has("axes")) inputs.push_back(op.b.integers(TRY(op.ints("axes"))));
  const std::int64_t keep = TRY(op.flag("keep_dims", false)) ? 1 : 0;
  return op.give(op.b.emit(op.ours, inputs, {{"keepdims", keep}}));
}

Status reduce_place(MilOp& op) {
  const std::int64_t axis = TRY(op.axis("axis", -1, "x"));
  const std::int64_t keep = TRY(op.flag("keep_dims", false)) ? 1 : 0;
  return op.give_cast(0,
                      op.b.emit(op.ours, {TRY(op.in("x"))}, {{"axis", axis}, {"keepdims", keep}}));
}

Status cumsum(MilOp& op) {
  const std::int64_t axis = TRY(op.axis("axis", 0, "x"));
  const std::int64_t exclusive = TRY(op.flag("exclusive", false)) ? 1 : 0,
                     reverse = TRY(op.flag("reverse", false)) ? 1 : 0;
  return op.give(op.b.emit("CumSum", {TRY(op.in("x")), op.b.integer(axis)},
                           {{"exclusive", exclusive}, {"reverse", reverse}}));
}

// (x / scale) + zero, rounded and cut; and back.
Status quantize(MilOp& op) {
  const bool is_forward = op.op.type == "quantize";
  const ValueId x = TRY(op.in("input"));
  std::vector<ValueId> inputs{x, TRY(op.in("scale"))};
  const Element integers = is_forward ? op.out().element : TRY(op.type("input"))->element;
  if (op.has("zero_point")) {
    inputs.push_back(TRY(op.in("zero_point")));
  } else {
    Tensor zero = TRY(make_tensor(integers, TRY(op.dims("scale"))));
    std::fill_n(zero.bytes, zero.byte_count(), std::byte{0});
    inputs.push_back(op.b.constant(std::move(zero)));
  }
  return op.give(op.b.emit(is_forward ? "QuantizeLinear" : "DequantizeLinear", inputs,
                           {{"axis", TRY(op.integer("axis", 0))}}));
}

constexpr MilRow rows[] = {
    {"abs", unary, "Abs"},
    {"acos", unary, "Acos"},
    {"asin", unary, "Asin"},
    {"atan", unary, "Atan"},
    {"atanh", unary, "Atanh"},
    {"ceil", unary, "Ceil"},
    {"cos", unary, "Cos"},
    {"cosh", unary, "Cosh"},
    {"erf", unary, "Erf"},
    {"exp", unary, "Exp"},
    {"exp2", exp2},
    {"floor", unary, "Floor"},
    {"identity", unary, "Identity"},
    {"inverse", shifted, "Reciprocal"},
    {"log", shifted, "Log"},
    {"logical_not", logical, "Not"},
    {"round", unary, "Round"},
    {"rsqrt", shifted, "hearth.Rsqrt"},
    {"sign", unary, "Sign"},
    {"sin", unary, "Sin"},
    {"sinh", unary, "Sinh"},
    {"sqrt", unary, "Sqrt"},
    {"square", square},
    {"tan", unary, "Tan"},
    {"tanh", unary, "Tanh"},
    {"relu", unary, "Relu"},
    {"relu6", unary, "hearth.Relu6"},
    {"sigmoid", unary, "Sigmoid"},
    {"silu", unary, "Swish"},
    {"softplus", unary, "Softplus"},
    {"softsign", unary, "Softsign"},
    {"elu", with_alpha, "Elu"},
    {"leaky_relu", with_alpha, "LeakyRelu"},
    {"linear_activation", with_alpha_beta, "Affine"},
    {"sigmoid_hard", with_alpha_beta, "HardSigmoid"},
    {"clamped_relu", clamped_relu},
    {"clip", clip},
    {"gelu", gelu},
    {"prelu", prelu},
    {"scaled_tanh", scaled_tanh},
    {"softplus_parametric", softplus_parametric},
    {"threshold", threshold},
    {"thresholded_relu", thresholded_relu},
    {"add", binary, "Add"},
    {"sub", binary, "Sub"},
    {"mul", binary, "Mul"},
    {"real_div", real_div},
    {"floor_div", binary, "hearth.FloorDiv"},
    {"mod", binary, "hearth.FloorMod"},
    {"pow", binary, "Pow"},
    {"maximum", binary, "Max"},
    {"minimum", binary, "Min"},
    {"equal", binary, "Equal"},
    {"not_equal", binary, "hearth.NotEqual"},
    {"greater", binary, "Greater"},
    {"greater_equal", binary, "GreaterOrEqual"},
    {"less", binary, "Less"},
    {"less_equal", binary, "LessOrEqual"},
    {"logical_and", logical, "And"},
    {"logical_or", logical, "Or"},
    {"logical_xor", logical, "Xor"},
    {"softmax", softmax},
    {"cast", cast},
    {"select", select},
    {"cumsum", cumsum},
    {"quantize", quantize},
    {"dequantize", quantize},
    {"reduce_argmax", reduce_place, "ArgMax"},
    {"reduce_argmin", reduce_place, "ArgMin"},
    {"reduce_l1_norm", reduce, "ReduceL1"},
    {"reduce_l2_norm", reduce, "ReduceL2"},
    {"reduce_log_sum", reduce, "ReduceLogSum"},
    {"reduce_log_sum_exp", reduce, "ReduceLogSumExp"},
    {"reduce_max", reduce, "ReduceMax"},
    {"reduce_mean", reduce, "ReduceMean"},
    {"reduce_min", reduce, "ReduceMin"},
    {"reduce_prod", reduce, "ReduceProd"},
    {"reduce_sum", reduce, "ReduceSum"},
    {"reduce_sum_square", reduce, "ReduceSumSquare"},
};

}  // namespace

std::span<const MilRow> elementwise_rows() { return rows; }

}  // namespace hearth::graphs::coreml
