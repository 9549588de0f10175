// Numbers: sizes of tensors, their elements, and what is computed of them.
// Source: ExecuTorch, kernels/prim_ops.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "graphs/executorch/flow.h"

namespace hearth::graphs::executorch {
namespace {

// sym_size(x, dim, out): known where the shape is.
Status size(Op& op) {
  Emitter& b = op.b();
  const TensorSpec* x = TRY(op.spec(0));
  std::int64_t axis = TRY(op.integer(1));
  const auto rank = static_cast<std::int64_t>(x->dims.size());
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return corrupt(fmt::format("axis {} of {}", axis, rank));
  const std::int32_t out = TRY(op.arg(op.count() - 1));
  if (!x->is_dynamic) {
    const std::int64_t extent = x->dims[static_cast<std::size_t>(axis)];
    return op.flow.set_number(out, Number{static_cast<double>(extent), extent, Element::none});
  }
  const ValueId extent = b.emit("Gather", {b.emit("Shape", {TRY(op.in(0))}), b.integer(axis)},
                                {{"axis", std::int64_t{0}}});
  return op.flow.set_number(out, extent, Element::i64);
}

Status numel(Op& op) {
  const TensorSpec* x = TRY(op.spec(0));
  const std::int32_t out = TRY(op.arg(op.count() - 1));
  if (!x->is_dynamic) {
    const std::int64_t count = TRY(count_of(x->dims));
    return op.flow.set_number(out, Number{static_cast<double>(count), count, Element::none});
  }
  return op.flow.set_number(out, op.b().emit("Size", {TRY(op.in(0))}), Element::i64);
}

// The one element of a tensor.
Status element(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(op.type(0));
  const Element as = is_float(type)             ? Element::f32
                     : type == Element::boolean ? Element::boolean
                                                : Element::i64;
  const ValueId one = b.emit("Reshape", {TRY(op.in(0, as)), b.integers({})});
  return op.flow.set_number(TRY(op.arg(op.count() - 1)), one, as);
}

enum class How { add, sub, mul, floor_div, true_div, mod, eq, ne, lt, le, gt, ge, max, min };

struct Row {
  std::string_view name;
  How how;
  std::string_view ours;
};
constexpr Row rows[] = {
    {"executorch_prim::add.Scalar", How::add, "Add"},
    {"executorch_prim::sub.Scalar", How::sub, "Sub"},
    {"executorch_prim::mul.Scalar", How::mul, "Mul"},
    {"executorch_prim::floordiv.Scalar", How::floor_div, "hearth.FloorDiv"},
    {"executorch_prim::floordiv.int", How::floor_div, "hearth.FloorDiv"},
    {"executorch_prim::truediv.Scalar", How::true_div, "Div"},
    {"executorch_prim::mod.int", How::mod, "hearth.FloorMod"},
    {"executorch_prim::mod.Scalar", How::mod, "hearth.FloorMod"},
    {"executorch_prim::eq.Scalar", How::eq, "Equal"},
    {"executorch_prim::ne.Scalar", How::ne, "hearth.NotEqual"},
    {"executorch_prim::lt.Scalar", How::lt, "Less"},
    {"executorch_prim::le.Scalar", How::le, "LessOrEqual"},
    {"executorch_prim::gt.Scalar", How::gt, "Greater"},
    {"executorch_prim::ge.Scalar", How::ge, "GreaterOrEqual"},
    {"executorch_prim::sym_max.Scalar", How::max, "Max"},
    {"executorch_prim::sym_min.Scalar", How::min, "Min"},
};

bool is_test(How how) { return how >= How::eq && how <= How::ge; }

Result<std::int64_t> of_integers(How how, std::int64_t x, std::int64_t y) {
  constexpr std::int64_t most = std::int64_t{1} << 62;
  if (x > most || x < -most || y > most || y < -most) return corrupt("a number out of range");
  std::int64_t z = 0;
  switch (how) {
    case How::add:
      return x + y;
    case How::sub:
      return x - y;
    case How::mul:
      if (__builtin_mul_overflow(x, y, &z)) return corrupt("a number out of range");
      return z;
    case How::floor_div:
    case How::mod: {
      if (y == 0) return corrupt("a division by zero");
      const std::int64_t rest = ((x % y) + y) % y;
      return how == How::mod ? rest : (x - rest) / y;
    }
    case How::eq:
      return x == y;
    case How::ne:
      return x != y;
    case How::lt:
      return x < y;
    case How::le:
      return x <= y;
    case How::gt:
      return x > y;
    case How::ge:
      return x >= y;
    case How::max:
      return std::max(x, y);
    case How::min:
      return std::min(x, y);
    case How::true_div:
      break;
  }
  return corrupt("no such operation");
}

double of_reals(How how, double x, double y) {
  switch (how) {
    case How::add:
      return x + y;
    case How::sub:
      return x - y;
    case How::mul:
      return x * y;
    case How::floor_div:
      return std::floor(x / y);
    case How::true_div:
      return x / y;
    case How::mod:
      return x - std::floor(x / y) * y;
    case How::eq:
      return x == y ? 1 : 0;
    case How::ne:
      return x != y ? 1 : 0;
    case How::lt:
      return x < y ? 1 : 0;
    case How::le:
      return x <= y ? 1 : 0;
    case How::gt:
      return x > y ? 1 : 0;
    case How::ge:
      return x >= y ? 1 : 0;
    case How::max:
      return std::max(x, y);
    case How::min:
      return std::min(x, y);
  }
  return 0;
}

// Known numbers are computed here: loops over them need no loop when the graph runs.
Status combine(Op& op) {
  Emitter& b = op.b();
  const Row* row = std::ranges::find(rows, op.name, &Row::name);
  const Number x = TRY(op.flow.number_of(TRY(op.arg(0)))),
               y = TRY(op.flow.number_of(TRY(op.arg(1))));
  const std::int32_t out = TRY(op.arg(op.count() - 1));
  const Element result = is_test(row->how) ? Element::boolean : Element::none;
  if (x.real && y.real) {
    if (x.integer && y.integer && row->how != How::true_div) {
      const std::int64_t z = TRY(of_integers(row->how, *x.integer, *y.integer));
      return op.flow.set_number(out, Number{static_cast<double>(z), z, result});
    }
    const double z = of_reals(row->how, *x.real, *y.real);
    if (is_test(row->how))
      return op.flow.set_number(out, Number{z, static_cast<std::int64_t>(z), result});
    return op.flow.set_number(out, Number{z, {}, Element::none});
  }
  const auto is_real = [](const Number& n) { return n.real ? !n.integer : n.type == Element::f32; };
  const Element as =
      row->how == How::true_div || is_real(x) || is_real(y) ? Element::f32 : Element::i64;
  const ValueId z = b.emit(row->ours, {TRY(op.flow.number(TRY(op.arg(0)), as)),
                                       TRY(op.flow.number(TRY(op.arg(1)), as))});
  return op.flow.set_number(out, z, is_test(row->how) ? Element::boolean : as);
}

// Of one number.
Status change(Op& op) {
  Emitter& b = op.b();
  const Number x = TRY(op.flow.number_of(TRY(op.arg(0))));
  const std::int32_t out = TRY(op.arg(op.count() - 1));
  const std::string_view how = op.name.substr(17, op.name.find('.') - 17);
  if (x.real) {
    double z = *x.real;
    if (how == "neg") z = -z;
    if (how == "ceil") z = std::ceil(z);
    if (how == "round") z = std::nearbyint(z);
    if (how == "trunc" || how == "sym_int") z = std::trunc(z);
    if (how == "sym_float" || (how == "neg" && !x.integer))
      return op.flow.set_number(out, Number{z, {}, Element::none});
    if (std::fabs(z) > 4e18) return corrupt("a number out of range");
    return op.flow.set_number(out, Number{z, static_cast<std::int64_t>(z), Element::none});
  }
  if (how == "sym_float")
    return op.flow.set_number(out, TRY(op.flow.number(TRY(op.arg(0)), Element::f32)), Element::f32);
  if (how == "sym_int" && x.type == Element::boolean)
    return op.flow.set_number(out, TRY(op.flow.number(TRY(op.arg(0)), Element::i64)), Element::i64);
  const bool stays = x.type == Element::i64 && how != "neg";
  const ValueId id = TRY(op.flow.number(TRY(op.arg(0)), x.type));
  if (stays) return op.flow.set_number(out, b.emit("Identity", {id}), x.type);
  if (how == "neg") return op.flow.set_number(out, b.emit("Neg", {id}), x.type);
  const ValueId whole = b.emit(how == "ceil"    ? "Ceil"
                               : how == "round" ? "Round"
                                                : "hearth.Truncate",
                               {id});
  return op.flow.set_number(out, b.cast(whole, Element::i64), Element::i64);
}

Status negate(Op& op) {
  const Number x = TRY(op.flow.number_of(TRY(op.arg(0))));
  const std::int32_t out = TRY(op.arg(op.count() - 1));
  if (x.real) {
    const std::int64_t z = *x.real == 0 ? 1 : 0;
    return op.flow.set_number(out, Number{static_cast<double>(z), z, Element::boolean});
  }
  const ValueId truth = TRY(op.flow.number(TRY(op.arg(0)), Element::boolean));
  return op.flow.set_number(out, op.b().emit("Not", {truth}), Element::boolean);
}

// One of two numbers: sym_ite(which, where true, where false, out).
Status choose(Op& op) {
  const Number which = TRY(op.flow.number_of(TRY(op.arg(0))));
  const std::int32_t yes = TRY(op.arg(1)), no = TRY(op.arg(2)), out = TRY(op.arg(op.count() - 1));
  const Number first = TRY(op.flow.number_of(yes)), second = TRY(op.flow.number_of(no));
  const Number& taken = which.real && *which.real == 0 ? second : first;
  if (which.real && taken.real) return op.flow.set_number(out, taken);
  const auto type_of = [](const Number& n) {
    return n.type != Element::none ? n.type : n.integer ? Element::i64 : Element::f32;
  };
  const Element as = type_of(first) == type_of(second) ? type_of(first)
                     : type_of(first) == Element::f32 || type_of(second) == Element::f32
                         ? Element::f32
                         : Element::i64;
  const ValueId chosen =
      op.b().emit("Where", {TRY(op.flow.number(TRY(op.arg(0)), Element::boolean)),
                            TRY(op.flow.number(yes, as)), TRY(op.flow.number(no, as))});
  return op.flow.set_number(out, chosen, as);
}

constexpr Kernel kernels[] = {
    {"aten::sym_size.int", size},
    {"aten::sym_numel", numel},
    {"aten::_local_scalar_dense", element},
    {"executorch_prim::add.Scalar", combine},
    {"executorch_prim::sub.Scalar", combine},
    {"executorch_prim::mul.Scalar", combine},
    {"executorch_prim::floordiv.Scalar", combine},
    {"executorch_prim::floordiv.int", combine},
    {"executorch_prim::truediv.Scalar", combine},
    {"executorch_prim::mod.int", combine},
    {"executorch_prim::mod.Scalar", combine},
    {"executorch_prim::eq.Scalar", combine},
    {"executorch_prim::ne.Scalar", combine},
    {"executorch_prim::lt.Scalar", combine},
    {"executorch_prim::le.Scalar", combine},
    {"executorch_prim::gt.Scalar", combine},
    {"executorch_prim::ge.Scalar", combine},
    {"executorch_prim::sym_max.Scalar", combine},
    {"executorch_prim::sym_min.Scalar", combine},
    {"executorch_prim::neg.Scalar", change},
    {"executorch_prim::ceil.Scalar", change},
    {"executorch_prim::round.Scalar", change},
    {"executorch_prim::trunc.Scalar", change},
    {"executorch_prim::sym_float.Scalar", change},
    {"executorch_prim::sym_int.Scalar", change},
    {"executorch_prim::sym_not.Scalar", negate},
    {"executorch_prim::sym_ite.Scalar", choose},
};

}  // namespace

std::span<const Kernel> number_kernels() { return kernels; }

}  // namespace hearth::graphs::executorch
