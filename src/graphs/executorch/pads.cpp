// Padding, and tensors made of nothing.
// Source: PyTorch, torch.nn.functional.pad and torch, "Creation Ops"; ExecuTorch,
// kernels/portable/functions.yaml.
#include <fmt/core.h>

#include <algorithm>

#include "graphs/executorch/flow.h"

namespace hearth::graphs::executorch {
namespace {

std::size_t last(const Op& op) { return op.count() - 1; }

// (x, pads, value or out): pads are of the last axis first, both ends of each.
Status pad(Op& op) {
  Emitter& b = op.b();
  const Ints given = TRY(op.list(1));
  const std::size_t rank = TRY(op.rank(0));
  if (given.size() % 2 != 0 || given.size() / 2 > rank)
    return corrupt(fmt::format("{} paddings of {} axes", given.size(), rank));
  Ints pads(rank * 2, 0);
  for (std::size_t i = 0; i < given.size() / 2; ++i) {
    pads[rank - 1 - i] = given[2 * i];
    pads[2 * rank - 1 - i] = given[2 * i + 1];
  }
  const bool reflects = op.name.starts_with("aten::reflection"),
             repeats = op.name.starts_with("aten::replication");
  std::vector<ValueId> inputs{TRY(op.in(0)), b.integers(pads)};
  if (!reflects && !repeats) inputs.push_back(TRY(op.flow.number(TRY(op.arg(2)), TRY(op.type(0)))));
  return op.give(last(op), b.emit("Pad", std::move(inputs),
                                  {{"mode", std::string(reflects  ? "reflect"
                                                        : repeats ? "edge"
                                                                  : "constant")}}));
}

Status filled(Op& op, ValueId shape, ValueId number) {
  return op.give(last(op), op.b().emit("hearth.Fill", {shape, number}));
}

Result<ValueId> known(Op& op, double value) {
  Tensor tensor = TRY(make_tensor(TRY(op.type(last(op))), {}));
  store(tensor.type, tensor.bytes, Work::f64, &value, 1);
  return op.b().constant(std::move(tensor));
}

// full(size, value, out); full_like(x, value, ..., out); zeros(size, out), ones, empty.
Status full(Op& op) {
  const Element type = TRY(op.type(last(op)));
  if (op.name == "aten::full.out")
    return filled(op, TRY(op.list_id(0)), TRY(op.flow.number(TRY(op.arg(1)), type)));
  if (op.name == "aten::full_like.out")
    return filled(op, op.b().emit("Shape", {TRY(op.in(0))}),
                  TRY(op.flow.number(TRY(op.arg(1)), type)));
  return filled(op, TRY(op.list_id(0)), TRY(known(op, op.name == "aten::ones.out" ? 1 : 0)));
}

// fill(x, value, out)
Status fill(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(op.type(last(op)));
  const ValueId number = b.emit("Reshape", {TRY(op.operand(1, type)), b.integers({})});
  return filled(op, b.emit("Shape", {TRY(op.in(0))}), number);
}

Status scalar_tensor(Op& op) {
  return op.give(
      last(op),
      op.b().emit("Identity", {TRY(op.flow.number(TRY(op.arg(0)), TRY(op.type(last(op)))))}));
}

// arange.out(end, out); arange.start_out(start, end, step, out)
Status arange(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(op.type(last(op)));
  const bool has_start = op.name == "aten::arange.start_out";
  const auto number = [&](std::size_t i) { return op.arg(i); };
  // Whole numbers are counted as such: floats would lose those beyond 2^24.
  const Element as = is_float(type) ? Element::f32 : Element::i64;
  const ValueId start =
      has_start ? TRY(op.flow.number(TRY(number(0)), as)) : b.cast(b.integer(0), as);
  const ValueId end = TRY(op.flow.number(TRY(number(has_start ? 1 : 0)), as));
  const ValueId step =
      has_start ? TRY(op.flow.number(TRY(number(2)), as)) : b.cast(b.integer(1), as);
  return op.give(last(op), b.emit("Range", {start, end, step}), as);
}

// Numbers of a generator of our own.
Status random(Op& op) {
  const Dims& dims = TRY(op.spec(last(op)))->dims;
  return op.give(last(op),
                 op.b().emit(op.name == "aten::rand.out" ? "RandomUniform" : "RandomNormal", {},
                             {{"shape", Ints(dims)}}),
                 Element::f32);
}

constexpr Kernel kernels[] = {
    {"aten::constant_pad_nd.out", pad},
    {"aten::reflection_pad1d.out", pad},
    {"aten::reflection_pad2d.out", pad},
    {"aten::reflection_pad3d.out", pad},
    {"aten::replication_pad1d.out", pad},
    {"aten::replication_pad2d.out", pad},
    {"aten::replication_pad3d.out", pad},
    {"aten::full.out", full},
    {"aten::full_like.out", full},
    {"aten::ones.out", full},
    {"aten::zeros.out", full},
    {"aten::empty.out", full},
    {"dim_order_ops::_empty_dim_order.out", full},
    {"aten::fill.Scalar_out", fill},
    {"aten::fill.Tensor_out", fill},
    {"aten::scalar_tensor.out", scalar_tensor},
    {"aten::arange.out", arange},
    {"aten::arange.start_out", arange},
    {"aten::rand.out", random},
    {"aten::randn.out", random},
};

}  // namespace

std::span<const Kernel> pad_kernels() { return kernels; }

}  // namespace hearth::graphs::executorch
