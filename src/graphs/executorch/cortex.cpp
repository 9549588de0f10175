// Operators of programs for microcontrollers, in whole numbers, bit for bit.
// Source: ExecuTorch, backends/cortex_m/ops: what they compute; CMSIS-NN, "arm_nn_requantize".
#include <fmt/core.h>

#include <algorithm>

#include "graphs/executorch/quanta.h"

namespace hearth::graphs::executorch {
namespace {

std::size_t last(const Op& op) { return op.count() - 1; }

ValueId whole_numbers(Emitter& b, const Ints& numbers, const Dims& dims) {
  return b.emit("Reshape", {b.integers(numbers), b.integers(dims)});
}

// x * multiplier * 2^(shift - 31), rounded half away from zero, of i64 x; one factor or one per
// place of a shape that broadcasts.
Result<ValueId> rescaled(Emitter& b, ValueId x, const Ints& multipliers, const Ints& shifts,
                         const Dims& dims) {
  if (multipliers.size() != shifts.size()) return corrupt("multipliers without shifts");
  Ints left, right, half;
  for (const std::int64_t shift : shifts) {
    if (shift < -31 || shift > 31) return corrupt(fmt::format("a shift of {}", shift));
    left.push_back(std::int64_t{1} << std::max<std::int64_t>(shift, 0));
    right.push_back(std::int64_t{1} << std::max<std::int64_t>(-shift, 0));
    half.push_back((right.back() - 1) >> 1);
  }
  const ValueId scaled = b.emit("Mul", {b.emit("Mul", {x, whole_numbers(b, left, dims)}),
                                        whole_numbers(b, multipliers, dims)});
  const ValueId high = b.emit("hearth.FloorDiv", {b.emit("Add", {scaled, b.integer(1 << 30)}),
                                                  b.integer(std::int64_t{1} << 31)});
  const ValueId unit = whole_numbers(b, right, dims);
  const ValueId low = b.emit("hearth.FloorDiv", {high, unit});
  const ValueId rest = b.emit("Sub", {high, b.emit("Mul", {low, unit})});
  const ValueId is_negative = b.cast(b.emit("Less", {low, b.integer(0)}), Element::i64);
  const ValueId threshold = b.emit("Add", {whole_numbers(b, half, dims), is_negative});
  return b.emit("Add", {low, b.cast(b.emit("Greater", {rest, threshold}), Element::i64)});
}

Result<Ints> constant_integers(Op& op, std::size_t i) {
  const auto tensor = TRY(op.flow.constant(TRY(op.arg(i))));
  if (!tensor || !is_integer(tensor->type))
    return Error(ErrorKind::unsupported, fmt::format("argument {}: needs constant integers", i));
  Ints numbers(static_cast<std::size_t>(tensor->count));
  load(Work::i64, numbers.data(), tensor->type, tensor->bytes, numbers.size());
  return numbers;
}

// + offset, within bounds, as the result's type.
Status give_bounded(Op& op, ValueId x, std::int64_t offset, std::int64_t low, std::int64_t high) {
  Emitter& b = op.b();
  const ValueId moved = b.emit("Add", {x, b.integer(offset)});
  return op.give(last(op), b.emit("Clip", {moved, b.integer(low), b.integer(high)}), Element::i64);
}

Result<ValueId> byte_constant(Emitter& b, std::int64_t number) {
  if (number < -128 || number > 127) return corrupt(fmt::format("a zero point of {}", number));
  Tensor tensor = TRY(make_tensor(Element::i8, {}));
  *tensor.data<std::int8_t>() = static_cast<std::int8_t>(number);
  return b.constant(std::move(tensor));
}

// (x, weight, bias?, stride, padding, dilation, [depth multiplier,] input offset, output offset,
// multipliers, shifts, min, max, scratch, out): weights [out, h, w, in], of depthwise ones
// [1, h, w, out].
Status convolution(Op& op) {
  Emitter& b = op.b();
  const bool is_depthwise = op.name == "cortex_m::quantized_depthwise_conv2d.out";
  const std::size_t at = is_depthwise ? 7 : 6;
  const Dims x_dims = TRY(op.spec(0))->dims, w_dims = TRY(op.spec(1))->dims;
  if (x_dims.size() != 4 || w_dims.size() != 4) return corrupt("no picture");
  const Ints pads = TRY(op.list(4)), strides = TRY(op.list(3)), dilations = TRY(op.list(5));
  if (pads.size() != 2 || strides.size() != 2 || dilations.size() != 2)
    return corrupt("other than two axes");
  const ValueId w = b.transposed(TRY(op.in(1)), is_depthwise ? Ints{3, 0, 1, 2} : Ints{0, 3, 1, 2});
  const std::int64_t group = is_depthwise ? x_dims[1] : 1;
  ValueId sum =
      b.emit("ConvInteger", {TRY(op.in(0)), w, TRY(byte_constant(b, -TRY(op.integer(at))))},
             {{"strides", strides},
              {"pads", Ints{pads[0], pads[1], pads[0], pads[1]}},
              {"dilations", dilations},
              {"group", group}});
  sum = b.cast(sum, Element::i64);
  const Dims by_channel{1, -1, 1, 1};
  if (!op.is_null(2))
    sum = b.emit("Add",
                 {sum, b.emit("Reshape", {TRY(op.in(2, Element::i64)), b.integers(by_channel)})});
  const ValueId y = TRY(rescaled(b, sum, TRY(constant_integers(op, at + 2)),
                                 TRY(constant_integers(op, at + 3)), by_channel));
  return give_bounded(op, y, TRY(op.integer(at + 1)), TRY(op.integer(at + 4)),
                      TRY(op.integer(at + 5)));
}

// (x, weights [out, in], bias?, kernel sum?, input offset, filter offset, output offset,
// multipliers, shifts, max, min, out).  The kernel sum has the bias and what the input offset
// adds.
Status linear(Op& op) {
  Emitter& b = op.b();
  const bool has_sum = !op.is_null(3);
  const std::int64_t input_offset = has_sum ? 0 : TRY(op.integer(4));
  ValueId w = b.transposed(TRY(op.in(1)), {1, 0});
  ValueId y = b.emit("MatMulInteger", {TRY(op.in(0)), w, TRY(byte_constant(b, -input_offset)),
                                       TRY(byte_constant(b, -TRY(op.integer(5))))});
  y = b.cast(y, Element::i64);
  const std::size_t add = has_sum ? 3 : 2;
  if (!op.is_null(add)) y = b.emit("Add", {y, TRY(op.in(add, Element::i64))});
  const Ints multipliers = TRY(op.list(7)), shifts = TRY(op.list(8));
  if (multipliers.empty() || shifts.empty()) return corrupt("no multipliers");
  y = TRY(rescaled(b, y, {multipliers[0]}, {shifts[0]}, {}));
  return give_bounded(op, y, TRY(op.integer(6)), TRY(op.integer(10)), TRY(op.integer(9)));
}

// (a, zero, multiplier, shift, b, zero, multiplier, shift, zero, multiplier, shift, min, max, out)
Status sum(Op& op) {
  Emitter& b = op.b();
  constexpr std::int64_t headroom = 1 << 20;
  ValueId parts[2];
  for (std::size_t i = 0; i < 2; ++i) {
    const std::size_t at = 4 * i;
    const ValueId apart =
        b.emit("Sub", {TRY(op.in(at, Element::i64)), b.integer(TRY(op.integer(at + 1)))});
    parts[i] = TRY(rescaled(b, b.emit("Mul", {apart, b.integer(headroom)}),
                            {TRY(op.integer(at + 2))}, {TRY(op.integer(at + 3))}, {}));
  }
  const ValueId y = TRY(rescaled(b, b.emit("Add", {parts[0], parts[1]}), {TRY(op.integer(9))},
                                 {TRY(op.integer(10))}, {}));
  return give_bounded(op, y, TRY(op.integer(8)), TRY(op.integer(11)), TRY(op.integer(12)));
}

// (a, zero, b, zero, zero, multiplier, shift, out)
Status product_of(Op& op) {
  Emitter& b = op.b();
  ValueId parts[2];
  for (std::size_t i = 0; i < 2; ++i)
    parts[i] =
        b.emit("Sub", {TRY(op.in(2 * i, Element::i64)), b.integer(TRY(op.integer(2 * i + 1)))});
  const ValueId y = TRY(rescaled(b, b.emit("Mul", {parts[0], parts[1]}), {TRY(op.integer(5))},
                                 {TRY(op.integer(6))}, {}));
  return give_bounded(op, y, TRY(op.integer(4)), -128, 127);
}

struct Window {
  Ints kernel, strides, pads;
};

Result<Window> window_of(Op& op) {
  Window w{TRY(op.list(1)), TRY(op.list(2)), TRY(op.list(3))};
  if (w.kernel.size() != 2 || w.strides.size() != 2 || w.pads.size() != 2)
    return corrupt("other than two axes");
  w.pads.insert(w.pads.end(), {w.pads[0], w.pads[1]});
  return w;
}

// (x, kernel, stride, padding, ceil, zero, multiplier, shift, scratch, out): the mean of the
// numbers, halves away from zero.
Status average_pool(Op& op) {
  Emitter& b = op.b();
  const Window w = TRY(window_of(op));
  const ValueId mean = b.emit("AveragePool", {TRY(op.in(0, Element::f32))},
                              {{"kernel_shape", w.kernel},
                               {"strides", w.strides},
                               {"pads", w.pads},
                               {"ceil_mode", TRY(op.integer(4))},
                               {"count_include_pad", std::int64_t{0}}});
  const ValueId away =
      b.emit("Mul", {b.emit("Floor", {b.emit("Add", {b.emit("Abs", {mean}), b.scalar(0.5f)})}),
                     b.emit("Sign", {mean})});
  return op.give(last(op), b.emit("Clip", {away, b.scalar(-128), b.scalar(127)}), Element::f32);
}

// (x, kernel, stride, padding, dilation, ceil, zero, zero, min, max, out)
Status max_pool(Op& op) {
  Emitter& b = op.b();
  const Window w = TRY(window_of(op));
  const ValueId most = b.emit("MaxPool", {TRY(op.in(0, Element::f32))},
                              {{"kernel_shape", w.kernel},
                               {"strides", w.strides},
                               {"pads", w.pads},
                               {"dilations", TRY(op.list(4))},
                               {"ceil_mode", TRY(op.integer(5))}});
  const double shift = static_cast<double>(TRY(op.integer(7)) - TRY(op.integer(6)));
  const ValueId moved = b.emit("Add", {most, b.scalar(static_cast<float>(shift))});
  return op.give(last(op),
                 b.emit("Clip", {moved, b.scalar(static_cast<float>(TRY(op.integer(8)))),
                                 b.scalar(static_cast<float>(TRY(op.integer(9))))}),
                 Element::f32);
}

// (x, before, after, value, out): four axes in the order of the memory, the last ones of x.
Status pad(Op& op) {
  Emitter& b = op.b();
  const TensorSpec* x = TRY(op.spec(0));
  const std::size_t rank = x->dims.size();
  const Ints before = TRY(op.list(1)), after = TRY(op.list(2));
  if (before.size() != 4 || after.size() != 4 || rank > 4) return corrupt("other than four axes");
  Ints pads(2 * rank, 0);
  for (std::size_t k = 0; k < rank; ++k) {
    const std::size_t axis = x->order.empty() ? k : x->order[k];
    pads[axis] = before[4 - rank + k];
    pads[rank + axis] = after[4 - rank + k];
  }
  return op.give(last(op), b.emit("Pad", {TRY(op.in(0)), b.integers(pads),
                                          TRY(op.flow.number(TRY(op.arg(3)), x->type))}));
}

Status transpose(Op& op) {
  return op.give(last(op), op.b().transposed(TRY(op.in(0)), TRY(op.list(1))));
}

// A table of 256 numbers, from that of -128 on.
Status by_table(Op& op) {
  Emitter& b = op.b();
  const ValueId place = b.emit("Add", {TRY(op.in(0, Element::i64)), b.integer(128)});
  return op.give(last(op), b.emit("Gather", {TRY(op.in(1)), place}, {{"axis", std::int64_t{0}}}));
}

constexpr Kernel kernels[] = {
    {"cortex_m::quantized_conv2d.out", convolution},
    {"cortex_m::quantized_depthwise_conv2d.out", convolution},
    {"cortex_m::quantized_linear.out", linear},
    {"cortex_m::quantized_add.out", sum},
    {"cortex_m::quantized_mul.out", product_of},
    {"cortex_m::quantized_avg_pool2d.out", average_pool},
    {"cortex_m::quantized_max_pool2d.out", max_pool},
    {"cortex_m::quantized_activation.out", by_table},
    {"cortex_m::pad.out", pad},
    {"cortex_m::transpose.out", transpose},
};

}  // namespace

std::span<const Kernel> cortex_kernels() { return kernels; }

}  // namespace hearth::graphs::executorch
