// Operators of one, two or three operands, element by element.
// Source: PyTorch, torch and torch.nn.functional: what they compute; ExecuTorch,
// kernels/portable/functions.yaml: arguments.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "graphs/executorch/flow.h"

namespace hearth::graphs::executorch {
namespace {

struct Pair {
  std::string_view theirs, ours;
};

std::string_view ours_of(std::span<const Pair> table, std::string_view name) {
  for (const Pair& each : table)
    if (each.theirs == name) return each.ours;
  return "";
}

// The type in which numbers of two types meet.  Source: PyTorch, "type promotion".
Element common(Element a, Element b) {
  if (a == b) return a;
  if (is_float(a) != is_float(b)) return is_float(a) ? a : b;
  if (is_float(a)) {
    if (a == Element::f64 || b == Element::f64) return Element::f64;
    return Element::f32;
  }
  if (a == Element::boolean) return b;
  if (b == Element::boolean) return a;
  if (size_of(a) != size_of(b)) return size_of(a) > size_of(b) ? a : b;
  return Element::i64;
}

// The type in which two operands, of which each may be a number, are compared or computed.
Result<Element> meeting(const Op& op, std::size_t i, std::size_t j) {
  const auto kind_of = [&](std::size_t k) -> Result<Element> {
    if (op.is_tensor(k)) return op.type(k);
    const EValue* v = TRY(op.flow.value(TRY(op.arg(k))));
    return v->kind == EValue::Kind::real      ? Element::f32
           : v->kind == EValue::Kind::boolean ? Element::boolean
                                              : Element::i64;
  };
  const Element a = TRY(kind_of(i)), b = TRY(kind_of(j));
  const bool first = op.is_tensor(i), second = op.is_tensor(j);
  if (first && second) {
    // What has no axes gives way to what has some, among numbers of one kind.
    const bool is_a_number = TRY(op.rank(i)) == 0, is_b_number = TRY(op.rank(j)) == 0;
    if (is_a_number != is_b_number && is_float(a) == is_float(b) && a != Element::boolean &&
        b != Element::boolean)
      return is_a_number ? b : a;
    return common(a, b);
  }
  const Element tensor = first ? a : b, number = first ? b : a;
  if (is_float(number) && !is_float(tensor)) return Element::f32;
  return tensor == Element::boolean && number != Element::boolean ? number : tensor;
}

constexpr Pair real_functions[] = {
    {"aten::acos.out", "Acos"},
    {"aten::acosh.out", "Acosh"},
    {"aten::asin.out", "Asin"},
    {"aten::asinh.out", "Asinh"},
    {"aten::atan.out", "Atan"},
    {"aten::atanh.out", "Atanh"},
    {"aten::cos.out", "Cos"},
    {"aten::cosh.out", "Cosh"},
    {"aten::erf.out", "Erf"},
    {"aten::exp.out", "Exp"},
    {"aten::log.out", "Log"},
    {"aten::reciprocal.out", "Reciprocal"},
    {"aten::rsqrt.out", "hearth.Rsqrt"},
    {"aten::sigmoid.out", "Sigmoid"},
    {"aten::sin.out", "Sin"},
    {"aten::sinh.out", "Sinh"},
    {"aten::sqrt.out", "Sqrt"},
    {"aten::tan.out", "Tan"},
    {"aten::tanh.out", "Tanh"},
};

// Of whole numbers they are real.
Status real_function(Op& op) {
  const Element type = TRY(op.type(op.count() - 1));
  return op.give(op.count() - 1,
                 op.b().emit(ours_of(real_functions, op.name), {TRY(op.in(0, type))}));
}

constexpr Pair same_functions[] = {
    {"aten::abs.out", "Abs"},     {"aten::neg.out", "Neg"},
    {"aten::relu.out", "Relu"},   {"aten::sign.out", "Sign"},
    {"aten::ceil.out", "Ceil"},   {"aten::floor.out", "Floor"},
    {"aten::round.out", "Round"}, {"aten::trunc.out", "hearth.Truncate"},
};

Status same_function(Op& op) {
  const Element type = TRY(op.type(0));
  const std::string_view ours = ours_of(same_functions, op.name);
  const bool is_whole =
      ours == "Ceil" || ours == "Floor" || ours == "Round" || ours == "hearth.Truncate";
  if (!is_float(type) && (is_whole || type == Element::boolean))
    return op.give(op.count() - 1, op.b().emit("Identity", {TRY(op.in(0))}));
  return op.give(op.count() - 1, op.b().emit(ours, {TRY(op.in(0))}));
}

Status is_special(Op& op) {
  const ValueId x = TRY(op.in(0, Element::f32));
  return op.give(op.count() - 1, op.b().emit(op.name == "aten::isnan.out" ? "IsNaN" : "IsInf", {x}),
                 Element::boolean);
}

Status logical_not(Op& op) {
  return op.give(op.count() - 1, op.b().emit("Not", {TRY(op.in(0, Element::boolean))}),
                 Element::boolean);
}

Status bitwise_not(Op& op) {
  const bool is_boolean = TRY(op.type(0)) == Element::boolean;
  return op.give(op.count() - 1, op.b().emit(is_boolean ? "Not" : "BitwiseNot", {TRY(op.in(0))}));
}

// log of x in another base, or of 1 + x; exp(x) - 1.
Status logarithm(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(op.type(op.count() - 1));
  ValueId x = TRY(op.in(0, type));
  const auto number = [&](double v) { return b.cast(b.scalar(static_cast<float>(v)), type); };
  if (op.name == "aten::expm1.out")
    return op.give(op.count() - 1, b.emit("Sub", {b.emit("Exp", {x}), number(1)}));
  if (op.name == "aten::log1p.out") x = b.emit("Add", {x, number(1)});
  ValueId y = b.emit("Log", {x});
  if (op.name == "aten::log2.out") y = b.emit("Mul", {y, number(std::numbers::log2e)});
  if (op.name == "aten::log10.out") y = b.emit("Mul", {y, number(std::numbers::log10e)});
  return op.give(op.count() - 1, y);
}

Status copy(Op& op) {
  return op.give(op.count() - 1, op.b().emit("Identity", {TRY(op.in(0))}), TRY(op.type(0)));
}

// copy_(self, from, non_blocking): `from` in the shape of `self`.
Status copy_into(Op& op) {
  Emitter& b = op.b();
  const TensorSpec* self = TRY(op.spec(0));
  ValueId x = TRY(op.in(1, self->type));
  if (TRY(op.spec(1))->dims != self->dims)
    x = b.emit("Expand",
               {x, self->is_dynamic ? b.emit("Shape", {TRY(op.in(0))}) : b.integers(self->dims)});
  else
    x = b.emit("Identity", {x});
  if (op.name == "aten::copy_") {
    TRY(op.give(0, x));
    if (TRY(op.arg(0)) == TRY(op.arg(op.count() - 1))) return Done{};
  }
  return op.give(op.count() - 1, x);
}

// ---- two operands

Result<Element> result_type(const Op& op) { return op.type(op.count() - 1); }

Status sum_or_difference(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(result_type(op));
  const ValueId x = TRY(op.operand(0, type));
  ValueId y = TRY(op.operand(1, type));
  const bool has_factor = op.count() > 4 || (op.count() == 4 && !op.is_tensor(2));
  const Number factor = has_factor ? TRY(op.flow.number_of(TRY(op.arg(2)))) : Number{1.0, 1, {}};
  if (!factor.real || *factor.real != 1) y = b.emit("Mul", {y, TRY(op.operand(2, type))});
  return op.give(op.count() - 1, b.emit(op.name.starts_with("aten::add") ? "Add" : "Sub", {x, y}));
}

// rsub(self, other, alpha): other - alpha * self.
Status reverse_difference(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(result_type(op));
  ValueId x = TRY(op.operand(0, type));
  const Number factor = TRY(op.flow.number_of(TRY(op.arg(2))));
  if (!factor.real || *factor.real != 1) x = b.emit("Mul", {x, TRY(op.operand(2, type))});
  return op.give(op.count() - 1, b.emit("Sub", {TRY(op.operand(1, type)), x}));
}

constexpr Pair binaries[] = {
    {"aten::mul.out", "Mul"},
    {"aten::mul.Scalar_out", "Mul"},
    {"aten::maximum.out", "Max"},
    {"aten::minimum.out", "Min"},
    {"cortex_m::maximum.out", "Max"},
    {"cortex_m::minimum.out", "Min"},
    {"aten::pow.Tensor_Tensor_out", "Pow"},
    {"aten::pow.Tensor_Scalar_out", "Pow"},
    {"aten::pow.Scalar_out", "Pow"},
};

Status binary(Op& op) {
  const Element type = TRY(result_type(op));
  return op.give(op.count() - 1, op.b().emit(ours_of(binaries, op.name),
                                             {TRY(op.operand(0, type)), TRY(op.operand(1, type))}));
}

// "trunc" and "floor" round; otherwise the result is real.
Status quotient(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(result_type(op));
  std::string mode;
  if (op.name.ends_with("mode") || op.name.ends_with("mode_out")) mode = TRY(op.text(2, ""));
  if (op.name == "aten::floor_divide.out") mode = "floor";
  const ValueId x = TRY(op.operand(0, type)), y = TRY(op.operand(1, type));
  if (mode == "floor") return op.give(op.count() - 1, b.emit("hearth.FloorDiv", {x, y}));
  ValueId z = b.emit("Div", {x, y});
  if (mode == "trunc" && is_float(type)) z = b.emit("hearth.Truncate", {z});
  return op.give(op.count() - 1, z);
}

Status rest(Op& op) {
  const Element type = TRY(result_type(op));
  const ValueId x = TRY(op.operand(0, type)), y = TRY(op.operand(1, type));
  const bool cuts = op.name.starts_with("aten::fmod");
  return op.give(op.count() - 1, cuts ? op.b().emit("Mod", {x, y}, {{"fmod", std::int64_t{1}}})
                                      : op.b().emit("hearth.FloorMod", {x, y}));
}

// The angle of (x, y): atan(y / x), turned by half a circle where x < 0; a quarter where x is 0.
Status angle(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(result_type(op));
  const ValueId y = TRY(op.operand(0, type)), x = TRY(op.operand(1, type));
  const auto number = [&](double v) { return b.cast(b.scalar(static_cast<float>(v)), type); };
  const ValueId zero = number(0), half = number(std::numbers::pi);
  const ValueId is_left = b.emit("Less", {x, zero}), is_below = b.emit("Less", {y, zero});
  const ValueId turn = b.emit("Where", {is_below, b.emit("Neg", {half}), half});
  const ValueId plain = b.emit("Atan", {b.emit("Div", {y, x})});
  const ValueId turned = b.emit("Where", {is_left, b.emit("Add", {plain, turn}), plain});
  const ValueId quarter = b.emit("Mul", {b.emit("Sign", {y}), number(std::numbers::pi / 2)});
  const ValueId on_axis = b.emit("Equal", {x, zero});
  return op.give(op.count() - 1, b.emit("Where", {on_axis, quarter, turned}));
}

constexpr Pair comparisons[] = {{"aten::eq", "Equal"},   {"aten::ne", "hearth.NotEqual"},
                                {"aten::lt", "Less"},    {"aten::le", "LessOrEqual"},
                                {"aten::gt", "Greater"}, {"aten::ge", "GreaterOrEqual"}};

Status comparison(Op& op) {
  const Element type = TRY(meeting(op, 0, 1));
  const Element as = type == Element::boolean ? Element::u8 : type;
  const ValueId y = op.b().emit(ours_of(comparisons, op.name.substr(0, op.name.find('.'))),
                                {TRY(op.operand(0, as)), TRY(op.operand(1, as))});
  return op.give(op.count() - 1, y, Element::boolean);
}

Status logical(Op& op) {
  const std::string_view ours = op.name == "aten::logical_and.out"  ? "And"
                                : op.name == "aten::logical_or.out" ? "Or"
                                                                    : "Xor";
  return op.give(
      op.count() - 1,
      op.b().emit(ours, {TRY(op.in(0, Element::boolean)), TRY(op.in(1, Element::boolean))}),
      Element::boolean);
}

Status bitwise(Op& op) {
  const Element type = TRY(result_type(op));
  const bool is_boolean = type == Element::boolean;
  const std::string_view kind = op.name.substr(14);
  const std::string_view ours = kind.starts_with("and")  ? (is_boolean ? "And" : "BitwiseAnd")
                                : kind.starts_with("or") ? (is_boolean ? "Or" : "BitwiseOr")
                                                         : (is_boolean ? "Xor" : "BitwiseXor");
  return op.give(op.count() - 1,
                 op.b().emit(ours, {TRY(op.operand(0, type)), TRY(op.operand(1, type))}));
}

Status shift(Op& op) {
  const Element type = TRY(result_type(op));
  Emitter& b = op.b();
  const ValueId x = TRY(op.operand(0, type)), y = TRY(op.operand(1, type));
  if (op.name.starts_with("aten::bitwise_left"))
    return op.give(op.count() - 1,
                   b.emit("BitShift", {x, y}, {{"direction", std::string("LEFT")}}));
  // Of signed numbers the sign stays: x / 2^y, downwards.
  const ValueId one = b.cast(b.integer(1), type);
  const ValueId unit = b.emit("BitShift", {one, y}, {{"direction", std::string("LEFT")}});
  return op.give(op.count() - 1, b.emit("hearth.FloorDiv", {x, unit}));
}

// ---- choices and bounds

Status where(Op& op) {
  const Element type = TRY(result_type(op));
  return op.give(op.count() - 1,
                 op.b().emit("Where", {TRY(op.in(0, Element::boolean)), TRY(op.operand(1, type)),
                                       TRY(op.operand(2, type))}));
}

Status masked_fill(Op& op) {
  const Element type = TRY(result_type(op));
  return op.give(op.count() - 1,
                 op.b().emit("Where", {TRY(op.in(1, Element::boolean)), TRY(op.operand(2, type)),
                                       TRY(op.in(0, type))}));
}

Status clamp(Op& op) {
  const Element type = TRY(result_type(op));
  Emitter& b = op.b();
  const bool by_tensors = op.name == "aten::clamp.Tensor_out";
  ValueId bounds[2] = {absent, absent};
  for (std::size_t i = 0; i < 2; ++i)
    if (!op.is_null(i + 1)) bounds[i] = TRY(op.operand(i + 1, type));
  ValueId x = TRY(op.in(0, type));
  if (!by_tensors) return op.give(op.count() - 1, b.emit("Clip", {x, bounds[0], bounds[1]}));
  if (bounds[0] != absent) x = b.emit("Max", {x, bounds[0]});
  if (bounds[1] != absent) x = b.emit("Min", {x, bounds[1]});
  return op.give(op.count() - 1, b.emit("Identity", {x}));
}

Status leaky_relu(Op& op) {
  return op.give(op.count() - 1,
                 op.b().emit("LeakyRelu", {TRY(op.in(0))}, {{"alpha", TRY(op.real(1, 0.01))}}));
}

// elu(x, alpha, scale, input_scale)
Status elu(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(result_type(op));
  const double alpha = TRY(op.real(1, 1)), scale = TRY(op.real(2, 1)), inside = TRY(op.real(3, 1));
  const ValueId x = TRY(op.in(0));
  const auto number = [&](double v) { return b.cast(b.scalar(static_cast<float>(v)), type); };
  ValueId y =
      b.emit("Elu", {inside == 1 ? x : b.emit("Mul", {x, number(inside)})}, {{"alpha", alpha}});
  if (inside != 1) y = b.emit("Where", {b.emit("Greater", {x, number(0)}), x, y});
  if (scale != 1) y = b.emit("Mul", {y, number(scale)});
  return op.give(op.count() - 1, y);
}

Status gelu(Op& op) {
  return op.give(op.count() - 1,
                 op.b().emit("Gelu", {TRY(op.in(0))}, {{"approximate", TRY(op.text(1, "none"))}}));
}

Status hardswish(Op& op) {
  return op.give(op.count() - 1, op.b().emit("HardSwish", {TRY(op.in(0))}));
}

Status silu(Op& op) { return op.give(op.count() - 1, op.b().emit("Swish", {TRY(op.in(0))})); }

Status hardsigmoid(Op& op) {
  return op.give(op.count() - 1,
                 op.b().emit("HardSigmoid", {TRY(op.in(0))}, {{"alpha", 1.0 / 6}, {"beta", 0.5}}));
}

Status glu(Op& op) {
  Emitter& b = op.b();
  const auto parts = b.emit_many("Split", {TRY(op.in(0))}, 2,
                                 {{"axis", TRY(op.integer(1))}, {"num_outputs", std::int64_t{2}}});
  return op.give(op.count() - 1, b.emit("Mul", {parts[0], b.emit("Sigmoid", {parts[1]})}));
}

// log(x / (1 - x)) of x within [eps, 1 - eps].
Status logit(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(result_type(op));
  const auto number = [&](double v) { return b.cast(b.scalar(static_cast<float>(v)), type); };
  ValueId x = TRY(op.in(0, type));
  if (!op.is_null(1)) {
    const double eps = TRY(op.real(1));
    x = b.emit("Clip", {x, number(eps), number(1 - eps)});
  }
  return op.give(op.count() - 1,
                 b.emit("Log", {b.emit("Div", {x, b.emit("Sub", {number(1), x})})}));
}

// native_dropout(x, p, train, out, mask), only when nothing is dropped: what is dropped is drawn at
// random, for training.
Status dropout(Op& op) {
  if (!op.is_null(2) && TRY(op.flag(2))) return Error(ErrorKind::unsupported, "training");
  Emitter& b = op.b();
  const ValueId x = TRY(op.in(0));
  TRY(op.give(3, b.emit("Identity", {x})));
  return op.give(4, b.emit("Equal", {x, x}), Element::boolean);
}

constexpr Kernel kernels[] = {
    {"aten::acos.out", real_function},
    {"aten::acosh.out", real_function},
    {"aten::asin.out", real_function},
    {"aten::asinh.out", real_function},
    {"aten::atan.out", real_function},
    {"aten::atanh.out", real_function},
    {"aten::cos.out", real_function},
    {"aten::cosh.out", real_function},
    {"aten::erf.out", real_function},
    {"aten::exp.out", real_function},
    {"aten::log.out", real_function},
    {"aten::reciprocal.out", real_function},
    {"aten::rsqrt.out", real_function},
    {"aten::sigmoid.out", real_function},
    {"aten::sin.out", real_function},
    {"aten::sinh.out", real_function},
    {"aten::sqrt.out", real_function},
    {"aten::tan.out", real_function},
    {"aten::tanh.out", real_function},
    {"aten::abs.out", same_function},
    {"aten::neg.out", same_function},
    {"aten::relu.out", same_function},
    {"aten::sign.out", same_function},
    {"aten::ceil.out", same_function},
    {"aten::floor.out", same_function},
    {"aten::round.out", same_function},
    {"aten::trunc.out", same_function},
    {"aten::isinf.out", is_special},
    {"aten::isnan.out", is_special},
    {"aten::logical_not.out", logical_not},
    {"aten::bitwise_not.out", bitwise_not},
    {"aten::log10.out", logarithm},
    {"aten::log1p.out", logarithm},
    {"aten::log2.out", logarithm},
    {"aten::expm1.out", logarithm},
    {"aten::clone.out", copy},
    {"aten::alias_copy.out", copy},
    {"aten::detach_copy.out", copy},
    {"aten::lift_fresh_copy.out", copy},
    {"aten::_conj_physical.out", copy},
    {"aten::_to_copy.out", copy},
    {"dim_order_ops::_to_dim_order_copy.out", copy},
    {"dim_order_ops::_clone_dim_order.out", copy},
    {"et_copy::_h2d_copy.out", copy},
    {"et_copy::_d2h_copy.out", copy},
    {"aten::copy.out", copy_into},
    {"aten::copy_", copy_into},
    {"aten::add.out", sum_or_difference},
    {"aten::add.Scalar_out", sum_or_difference},
    {"aten::sub.out", sum_or_difference},
    {"aten::sub.Scalar_out", sum_or_difference},
    {"aten::rsub.Scalar_out", reverse_difference},
    {"aten::mul.out", binary},
    {"aten::mul.Scalar_out", binary},
    {"aten::maximum.out", binary},
    {"aten::minimum.out", binary},
    {"cortex_m::maximum.out", binary},
    {"cortex_m::minimum.out", binary},
    {"aten::pow.Tensor_Tensor_out", binary},
    {"aten::pow.Tensor_Scalar_out", binary},
    {"aten::pow.Scalar_out", binary},
    {"aten::div.out", quotient},
    {"aten::div.out_mode", quotient},
    {"aten::div.Scalar_out", quotient},
    {"aten::div.Scalar_mode_out", quotient},
    {"aten::floor_divide.out", quotient},
    {"aten::fmod.Tensor_out", rest},
    {"aten::fmod.Scalar_out", rest},
    {"aten::remainder.Tensor_out", rest},
    {"aten::remainder.Scalar_out", rest},
    {"aten::atan2.out", angle},
    {"aten::eq.Tensor_out", comparison},
    {"aten::eq.Scalar_out", comparison},
    {"aten::ne.Tensor_out", comparison},
    {"aten::ne.Scalar_out", comparison},
    {"aten::lt.Tensor_out", comparison},
    {"aten::lt.Scalar_out", comparison},
    {"aten::le.Tensor_out", comparison},
    {"aten::le.Scalar_out", comparison},
    {"aten::gt.Tensor_out", comparison},
    {"aten::gt.Scalar_out", comparison},
    {"aten::ge.Tensor_out", comparison},
    {"aten::ge.Scalar_out", comparison},
    {"aten::logical_and.out", logical},
    {"aten::logical_or.out", logical},
    {"aten::logical_xor.out", logical},
    {"aten::bitwise_and.Tensor_out", bitwise},
    {"aten::bitwise_and.Scalar_out", bitwise},
    {"aten::bitwise_or.Tensor_out", bitwise},
    {"aten::bitwise_or.Scalar_out", bitwise},
    {"aten::bitwise_xor.Tensor_out", bitwise},
    {"aten::bitwise_xor.Scalar_out", bitwise},
    {"aten::bitwise_left_shift.Tensor_out", shift},
    {"aten::bitwise_left_shift.Tensor_Scalar_out", shift},
    {"aten::bitwise_right_shift.Tensor_out", shift},
    {"aten::bitwise_right_shift.Tensor_Scalar_out", shift},
    {"aten::where.self_out", where},
    {"aten::masked_fill.Scalar_out", masked_fill},
    {"aten::clamp.out", clamp},
    {"aten::clamp.Tensor_out", clamp},
    {"aten::hardtanh.out", clamp},
    {"aten::leaky_relu.out", leaky_relu},
    {"aten::elu.out", elu},
    {"aten::gelu.out", gelu},
    {"aten::hardswish.out", hardswish},
    {"aten::hardsigmoid.out", hardsigmoid},
    {"aten::silu.out", silu},
    {"aten::glu.out", glu},
    {"aten::logit.out", logit},
    {"aten::native_dropout.out", dropout},
};

}  // namespace

std::span<const Kernel> elementwise_kernels() { return kernels; }

}  // namespace hearth::graphs::executorch
