// Operators that make one number of many.
// Source: PyTorch, torch, "Reduction Ops"; ExecuTorch, kernels/portable/functions.yaml.
#include <fmt/core.h>

#include <algorithm>

#include "graphs/executorch/flow.h"

namespace hearth::graphs::executorch {
namespace {

// A reduction over axes (all, where there are none) of numbers that have been cast already.
ValueId reduced(Emitter& b, std::string_view ours, ValueId x, const Ints& axes, bool keeps) {
  std::vector<ValueId> inputs{x};
  if (!axes.empty()) inputs.push_back(b.integers(axes));
  return b.emit(ours, std::move(inputs), {{"keepdims", std::int64_t{keeps}}});
}

std::size_t out_of(const Op& op) { return op.count() - 1; }

// (x, axes?, keepdim, dtype, out)
Status sum_or_mean(Op& op) {
  const Element type = TRY(op.type(out_of(op)));
  const bool has_axes = op.name.ends_with(".IntList_out") || op.name == "aten::mean.out";
  const std::string_view ours = op.name.starts_with("aten::sum") ? "ReduceSum" : "ReduceMean";
  const ValueId x = TRY(op.in(0, type));
  if (TRY(op.rank(0)) == 0) return op.give(out_of(op), op.b().emit("Identity", {x}));
  if (!has_axes) return op.give(out_of(op), reduced(op.b(), ours, x, {}, false));
  return op.give(out_of(op), reduced(op.b(), ours, x, TRY(op.list(1)), TRY(op.flag(2))));
}

// prod.out(x, dtype, out); prod.int_out(x, dim, keepdim, dtype, out)
Status product_of(Op& op) {
  const Element type = TRY(op.type(out_of(op)));
  const ValueId x = TRY(op.in(0, type));
  if (op.name == "aten::prod.out")
    return op.give(out_of(op), reduced(op.b(), "ReduceProd", x, {}, false));
  return op.give(out_of(op),
                 reduced(op.b(), "ReduceProd", x, {TRY(op.integer(1))}, TRY(op.flag(2))));
}

// amax(x, dims, keepdim, out); max.unary_out(x, out)
Status extreme(Op& op) {
  const bool is_most = op.name.starts_with("aten::amax") || op.name.starts_with("aten::max");
  const bool has_axes = op.name.starts_with("aten::am");
  const Element type = TRY(op.type(0));
  const Element as = type == Element::boolean ? Element::u8 : type;
  const ValueId y = reduced(op.b(), is_most ? "ReduceMax" : "ReduceMin", TRY(op.in(0, as)),
                            has_axes ? TRY(op.list(1)) : Ints(), has_axes && TRY(op.flag(2)));
  return op.give(out_of(op), y, as);
}

// any.out(x, dim, keepdim, out); any.dims_out(x, dims?, keepdim, out); any.all_out(x, out)
Status any_or_all(Op& op) {
  const bool has_axes = !op.name.ends_with(".all_out");
  const std::string_view ours =
      op.name.starts_with("aten::any") ? "hearth.ReduceAny" : "hearth.ReduceAll";
  const ValueId y = reduced(op.b(), ours, TRY(op.in(0, Element::boolean)),
                            has_axes ? TRY(op.list(1)) : Ints(), has_axes && TRY(op.flag(2)));
  return op.give(out_of(op), y, Element::boolean);
}

// argmax(x, dim?, keepdim, out)
Status extreme_place(Op& op) {
  Emitter& b = op.b();
  const std::string_view ours = op.name == "aten::argmax.out" ? "ArgMax" : "ArgMin";
  ValueId x = TRY(op.in(0));
  const bool is_flat = op.is_null(1);
  bool keeps = TRY(op.flag(2));
  if (is_flat) x = b.emit("Reshape", {x, b.integers({-1})});
  ValueId y = b.emit(ours, {x},
                     {{"axis", is_flat ? std::int64_t{0} : TRY(op.integer(1))},
                      {"keepdims", std::int64_t{!is_flat && keeps}}});
  if (is_flat && keeps) y = b.emit("Reshape", {y, b.integers(Ints(TRY(op.rank(0)), 1))});
  return op.give(out_of(op), y, Element::i64);
}

// Where the outputs of a kernel of several are: last but for the list of them.
std::size_t first_output(const Op& op, std::size_t outputs) {
  const std::size_t back = op.is_tensor(op.count() - 1) ? 2 * outputs : outputs + 1;
  return op.count() - std::min(back, op.count());
}

// max.dim_max(x, dim, keepdim, max, max_values)
Status extreme_with_place(Op& op) {
  Emitter& b = op.b();
  const bool is_most = op.name.starts_with("aten::max");
  const ValueId x = TRY(op.in(0));
  const std::int64_t axis = TRY(op.integer(1)), keeps = TRY(op.integer(2));
  if (op.count() < 6) return corrupt(fmt::format("{} arguments", op.count()));
  const Attributes attributes{{"axis", axis}, {"keepdims", keeps}};
  TRY(op.give(3, reduced(b, is_most ? "ReduceMax" : "ReduceMin", x, {axis}, keeps != 0)));
  return op.give(4, b.emit(is_most ? "ArgMax" : "ArgMin", {x}, attributes), Element::i64);
}

struct Spread {
  ValueId variance, mean;
};

// Over axes, divided by the count less `correction`.
Result<Spread> spread_of(Op& op, const Ints& axes, double correction, bool keeps, Element type) {
  Emitter& b = op.b();
  const ValueId x = TRY(op.in(0, type));
  const ValueId mean = reduced(b, "ReduceMean", x, axes, true);
  const ValueId apart = b.emit("Sub", {x, mean});
  ValueId count = b.emit("Shape", {x});
  if (!axes.empty()) {
    Ints places = axes;
    for (std::int64_t& each : places)
      if (each < 0) each += static_cast<std::int64_t>(TRY(op.rank(0)));
    count = b.emit("Gather", {count, b.integers(places)}, {{"axis", std::int64_t{0}}});
  }
  count = b.cast(b.emit("ReduceProd", {count}, {{"keepdims", std::int64_t{0}}}), type);
  const ValueId less = b.cast(b.scalar(static_cast<float>(correction)), type);
  // A negative number of numbers counts as none.
  const ValueId divisor = b.emit("Max", {b.emit("Sub", {count, less}), b.cast(b.scalar(0), type)});
  const ValueId sum = reduced(b, "ReduceSum", b.emit("hearth.Square", {apart}), axes, keeps);
  return Spread{b.emit("Div", {sum, divisor}), reduced(b, "ReduceMean", x, axes, keeps)};
}

// var.out(x, dim?, unbiased, keepdim, out); var.correction_out(x, dim?, correction?, keepdim, out)
Status variance(Op& op) {
  const Element type = TRY(op.type(out_of(op)));
  const double correction =
      op.name == "aten::var.out" ? static_cast<double>(TRY(op.integer(2))) : TRY(op.real(2, 1));
  const Spread spread = TRY(spread_of(op, TRY(op.list(1)), correction, TRY(op.flag(3)), type));
  return op.give(out_of(op), spread.variance);
}

// (x, dim?, correction?, keepdim, variance, mean)
Status variance_and_mean(Op& op) {
  const Element type = TRY(op.type(4));
  const Spread spread =
      TRY(spread_of(op, TRY(op.list(1)), TRY(op.real(2, 1)), TRY(op.flag(3)), type));
  TRY(op.give(4, spread.variance));
  return op.give(5, spread.mean);
}

Status cumulative_sum(Op& op) {
  const Element type = TRY(op.type(out_of(op)));
  const ValueId x = TRY(op.in(0, type));
  if (TRY(op.rank(0)) == 0) return op.give(out_of(op), op.b().emit("Identity", {x}));
  return op.give(out_of(op), op.b().emit("CumSum", {x, op.b().integer(TRY(op.integer(1)))}));
}

Status softmax(Op& op) {
  const std::string_view ours = op.name == "aten::_softmax.out" ? "Softmax" : "LogSoftmax";
  const Element type = TRY(op.type(out_of(op)));
  return op.give(out_of(op),
                 op.b().emit(ours, {TRY(op.in(0, type))}, {{"axis", TRY(op.integer(1))}}));
}

// topk(x, k, dim, largest, sorted, values, indices)
Status top(Op& op) {
  Emitter& b = op.b();
  const auto parts = b.emit_many("TopK", {TRY(op.in(0)), TRY(op.whole(1))}, 2,
                                 {{"axis", TRY(op.integer(2))}, {"largest", TRY(op.integer(3))}});
  TRY(op.give(5, parts[0]));
  return op.give(6, parts[1], Element::i64);
}

// sort(x, dim, descending, values, indices)
Status sort(Op& op) {
  Emitter& b = op.b();
  const ValueId x = TRY(op.in(0));
  const std::int64_t axis = TRY(op.integer(1));
  const ValueId extent =
      b.emit("Gather", {b.emit("Shape", {x}), b.integers({axis})}, {{"axis", std::int64_t{0}}});
  const auto parts =
      b.emit_many("TopK", {x, extent}, 2, {{"axis", axis}, {"largest", TRY(op.integer(2))}});
  const std::size_t first = first_output(op, 2);
  TRY(op.give(first, parts[0]));
  return op.give(first + 1, parts[1], Element::i64);
}

constexpr Kernel kernels[] = {
    {"aten::sum.IntList_out", sum_or_mean},
    {"aten::mean.out", sum_or_mean},
    {"aten::mean.dtype_out", sum_or_mean},
    {"aten::prod.out", product_of},
    {"aten::prod.int_out", product_of},
    {"aten::amax.out", extreme},
    {"aten::amin.out", extreme},
    {"aten::max.unary_out", extreme},
    {"aten::min.unary_out", extreme},
    {"aten::any.out", any_or_all},
    {"aten::any.dims_out", any_or_all},
    {"aten::any.all_out", any_or_all},
    {"aten::all.out", any_or_all},
    {"aten::all.all_out", any_or_all},
    {"aten::argmax.out", extreme_place},
    {"aten::argmin.out", extreme_place},
    {"aten::max.dim_max", extreme_with_place},
    {"aten::min.dim_min", extreme_with_place},
    {"aten::var.out", variance},
    {"aten::var.correction_out", variance},
    {"aten::var_mean.correction_out", variance_and_mean},
    {"aten::cumsum.out", cumulative_sum},
    {"aten::_softmax.out", softmax},
    {"aten::_log_softmax.out", softmax},
    {"aten::topk.values", top},
    {"aten::sort.values", sort},
};

}  // namespace

std::span<const Kernel> reduce_kernels() { return kernels; }

}  // namespace hearth::graphs::executorch
