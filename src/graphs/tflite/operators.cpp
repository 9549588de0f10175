// TFLite's built-in operators in terms of the canonical ones.
// Source: TFLite, schema.fbs and the comments of its operator definitions.
#include <fmt/core.h>

#include <algorithm>

#include "graphs/call.h"
#include "graphs/tflite/fixed.h"

namespace hearth::graphs::tflite {
namespace {

using Ints = std::vector<std::int64_t>;

std::int64_t in(const Operator& op, std::size_t i) {
  return i < op.inputs.size() ? op.inputs[i] : -1;
}
std::int64_t out(const Operator& op, std::size_t i = 0) {
  return i < op.outputs.size() ? op.outputs[i] : -1;
}
bool has(const Operator& op, std::size_t i) { return i < op.inputs.size() && op.inputs[i] >= 0; }

Result<std::size_t> rank_of(Builder& b, std::int64_t index) {
  return TRY(b.info(index))->dims.size();
}

// y = f(inputs) in real numbers, then the operator's fused activation.
Status by_real(Builder& b, const Operator& op, std::string_view name, int activation_slot = -1,
               Attributes attributes = {}) {
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < op.inputs.size(); ++i)
    inputs.push_back(has(op, i) ? TRY(b.real(in(op, i))) : absent);
  ValueId y = b.emit(name, std::move(inputs), std::move(attributes));
  if (activation_slot >= 0)
    y = TRY(
        b.activated(y, op.options.number<std::int8_t>(static_cast<unsigned>(activation_slot), 0)));
  return b.give_real(out(op), y);
}

// Elements only change places: the stored numbers serve.
Status by_raw(Builder& b, const Operator& op, std::string_view name, std::vector<ValueId> inputs,
              Attributes attributes = {}) {
  return b.give_raw(out(op), b.emit(name, std::move(inputs), std::move(attributes)));
}

std::string padding_of(const Operator& op) {
  return op.options.number<std::int8_t>(0, 0) == 0 ? "SAME_UPPER" : "VALID";
}

Status convolution(Builder& b, const Operator& op) {
  const bool by_channel = op.code == 4;
  const Dims w = TRY(b.info(in(op, 1)))->dims;
  if (w.size() != 4) return Error(ErrorKind::corrupt, fmt::format("a kernel of {}", to_text(w)));
  // [filters, h, w, channels], or [1, h, w, filters], to [filters, channels, h, w].
  const ValueId kernel =
      TRY(b.real_weights(in(op, 1), by_channel ? std::vector<std::size_t>{3, 0, 1, 2}
                                               : std::vector<std::size_t>{0, 3, 1, 2}));
  const Dims& x = TRY(b.info(in(op, 0)))->dims;
  if (x.size() != 4 || x[3] < 1)
    return Error(ErrorKind::corrupt, fmt::format("an image of {}", to_text(x)));
  const auto o = [&](unsigned slot, std::int64_t fallback) {
    return std::int64_t{op.options.number<std::int32_t>(slot, static_cast<std::int32_t>(fallback))};
  };
  const unsigned dilation = by_channel ? 5 : 4;
  Attributes attributes{{"auto_pad", padding_of(op)},
                        {"strides", Ints{o(2, 1), o(1, 1)}},
                        {"dilations", Ints{o(dilation + 1, 1), o(dilation, 1)}}};
  attributes["group"] = by_channel ? x[3] : w[3] > 0 ? x[3] / w[3] : 1;
  std::vector<ValueId> inputs{b.channels_first(TRY(b.real(in(op, 0)))), kernel};
  if (has(op, 2)) inputs.push_back(TRY(b.real(in(op, 2))));
  ValueId y = b.emit("Conv", std::move(inputs), std::move(attributes));
  y = TRY(b.activated(b.channels_last(y), op.options.number<std::int8_t>(by_channel ? 4 : 3, 0)));
  return b.give_real(out(op), y);
}

// inputs: output shape, kernel [filters, h, w, channels], image, bias.
Status transposed_convolution(Builder& b, const Operator& op) {
  const Ints shape = TRY(b.constant_integers(in(op, 0)));
  const Tensor kernel = TRY(reordered(TRY(b.constant_real(in(op, 1))), {3, 0, 1, 2}));
  if (shape.size() != 4)
    return Error(ErrorKind::corrupt, "an output shape of other than four axes");
  const std::int64_t sh = op.options.number<std::int32_t>(2, 1),
                     sw = op.options.number<std::int32_t>(1, 1);
  Attributes attributes{{"auto_pad", padding_of(op)}, {"strides", Ints{sh, sw}}};
  if (padding_of(op) != "VALID") attributes["output_shape"] = Ints{shape[1], shape[2]};
  std::vector<ValueId> inputs{b.channels_first(TRY(b.real(in(op, 2)))), b.constant(kernel)};
  if (has(op, 3)) inputs.push_back(TRY(b.real(in(op, 3))));
  ValueId y = b.channels_last(b.emit("ConvTranspose", std::move(inputs), std::move(attributes)));
  return b.give_real(out(op), TRY(b.activated(y, op.options.number<std::int8_t>(3, 0))));
}

Status pooling(Builder& b, const Operator& op, std::string_view name) {
  const auto o = [&](unsigned slot) {
    return std::int64_t{op.options.number<std::int32_t>(slot, 1)};
  };
  const Attributes attributes{{"auto_pad", padding_of(op)},
                              {"strides", Ints{o(2), o(1)}},
                              {"kernel_shape", Ints{o(4), o(3)}}};
  ValueId y = b.channels_last(b.emit(name, {b.channels_first(TRY(b.real(in(op, 0))))}, attributes));
  return b.give_real(out(op), TRY(b.activated(y, op.options.number<std::int8_t>(5, 0))));
}

// x [..., k] by weights [n, k].
Status fully_connected(Builder& b, const Operator& op) {
  const Dims& w = TRY(b.info(in(op, 1)))->dims;
  if (w.size() != 2 || w[1] < 1)
    return Error(ErrorKind::corrupt, fmt::format("weights of {}", to_text(w)));
  const ValueId flat = b.emit("Reshape", {TRY(b.real(in(op, 0))), b.integers({-1, w[1]})});
  const bool is_constant = TRY(b.info(in(op, 1)))->constant.has_value();
  const bool is_float = TRY(b.info(in(op, 0)))->type == Element::f32;
  ValueId y = is_float ? TRY(b.packed_product(flat, in(op, 1))) : absent;
  if (y != absent) {
    if (has(op, 2)) y = b.emit("Add", {y, TRY(b.real(in(op, 2)))});
  } else {
    std::vector<ValueId> inputs{
        flat, is_constant ? TRY(b.real_weights(in(op, 1), {0, 1})) : TRY(b.real(in(op, 1)))};
    if (has(op, 2)) inputs.push_back(TRY(b.real(in(op, 2))));
    y = b.emit("Gemm", std::move(inputs), {{"transB", std::int64_t{1}}});
  }
  const Dims& result = TRY(b.info(out(op)))->dims;
  if (result.size() != 2) {
    Ints shape(result.begin(), result.end());
    if (std::ranges::count(shape, -1) < 2 && !shape.empty())
      y = b.emit("Reshape", {y, b.integers(shape)});
  }
  return b.give_real(out(op), TRY(b.activated(y, op.options.number<std::int8_t>(0, 0))));
}

// [[before, after], ...] as ONNX wants it: all before, then all after.
Result<ValueId> pads(Builder& b, std::int64_t index) {
  return b.emit("Reshape", {b.transposed(TRY(b.raw(index)), {1, 0}), b.integers({-1})});
}

Status pad(Builder& b, const Operator& op) {
  const ValueId amounts = TRY(pads(b, in(op, 1)));
  if (op.code == 100)
    return by_raw(b, op, "Pad", {TRY(b.raw(in(op, 0))), amounts},
                  {{"mode", std::string(op.options.number<std::int8_t>(0, 0) == 0 ? "reflect"
                                                                                  : "symmetric")}});
  // What is put in stands for zero, whatever the stored number is.
  std::vector<ValueId> inputs{TRY(b.real(in(op, 0))), amounts};
  if (op.code == 60) inputs.push_back(b.emit("Squeeze", {TRY(b.real(in(op, 2)))}));
  return b.give_real(out(op), b.emit("Pad", std::move(inputs)));
}

Status reduce(Builder& b, const Operator& op, std::string_view name) {
  const Attributes attributes{{"keepdims", std::int64_t{op.options.number<std::uint8_t>(0, 0)}}};
  return b.give_real(out(op), b.emit(name,
                                     {TRY(b.real(in(op, 0))),
                                      b.emit("Reshape", {TRY(b.raw(in(op, 1))), b.integers({-1})})},
                                     attributes));
}

Status concatenation(Builder& b, const Operator& op) {
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) inputs.push_back(TRY(b.real(in(op, i))));
  const ValueId y = b.emit("Concat", std::move(inputs),
                           {{"axis", std::int64_t{op.options.number<std::int32_t>(0, 0)}}});
  return b.give_real(out(op), TRY(b.activated(y, op.options.number<std::int8_t>(1, 0))));
}

Status give_all(Builder& b, const Operator& op, const std::vector<ValueId>& values) {
  for (std::size_t i = 0; i < op.outputs.size(); ++i) TRY(b.give_raw(out(op, i), values[i]));
  return Done{};
}

Status split(Builder& b, const Operator& op) {
  const bool sized = op.code == 102;
  const Ints axis = TRY(b.constant_integers(in(op, sized ? 2 : 0)));
  std::vector<ValueId> inputs{TRY(b.raw(in(op, sized ? 0 : 1)))};
  if (sized) inputs.push_back(b.integers(TRY(b.constant_integers(in(op, 1)))));
  return give_all(b, op,
                  b.emit_many("Split", std::move(inputs), op.outputs.size(),
                              {{"axis", axis.empty() ? 0 : axis[0]}}));
}

Status pack(Builder& b, const Operator& op) {
  const std::int64_t axis = op.options.number<std::int32_t>(1, 0);
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < op.inputs.size(); ++i)
    inputs.push_back(b.emit("Unsqueeze", {TRY(b.raw(in(op, i))), b.integers({axis})}));
  return by_raw(b, op, "Concat", std::move(inputs), {{"axis", axis}});
}

Status unpack(Builder& b, const Operator& op) {
  const std::int64_t axis = op.options.number<std::int32_t>(1, 0);
  auto parts = b.emit_many("Split", {TRY(b.raw(in(op, 0)))}, op.outputs.size(), {{"axis", axis}});
  for (ValueId& each : parts) each = b.emit("Squeeze", {each, b.integers({axis})});
  return give_all(b, op, parts);
}

Status resize(Builder& b, const Operator& op, bool nearest) {
  const Ints size = TRY(b.constant_integers(in(op, 1)));
  const unsigned first = nearest ? 0 : 2;
  const bool corners = op.options.number<std::uint8_t>(first, 0) != 0,
             half = op.options.number<std::uint8_t>(first + 1, 0) != 0;
  if (size.size() != 2) return Error(ErrorKind::corrupt, "a size of other than two numbers");
  const Attributes attributes{
      {"mode", std::string(nearest ? "nearest" : "linear")},
      {"coordinate_transformation_mode",
       std::string(corners ? "align_corners"
                   : half  ? (nearest ? "tf_half_pixel_for_nn" : "half_pixel")
                           : "asymmetric")},
      {"nearest_mode", std::string(corners ? "round_prefer_ceil" : "floor")},
      {"axes", Ints{2, 3}}};
  const ValueId y =
      b.emit("Resize", {b.channels_first(TRY(b.real(in(op, 0)))), absent, absent, b.integers(size)},
             attributes);
  return b.give_real(out(op), b.channels_last(y));
}

Status blocks(Builder& b, const Operator& op, std::string_view name) {
  const ValueId y = b.emit(name, {b.channels_first(TRY(b.raw(in(op, 0))))},
                           {{"blocksize", std::int64_t{op.options.number<std::int32_t>(0, 1)}}});
  return b.give_raw(out(op), b.channels_last(y));
}

Status extreme_place(Builder& b, const Operator& op, std::string_view name) {
  const Ints axis = TRY(b.constant_integers(in(op, 1)));
  if (axis.size() != 1) return Error(ErrorKind::corrupt, "an axis of other than one number");
  const Element type = TRY(b.info(out(op)))->type;
  return by_raw(b, op, name, {TRY(b.raw(in(op, 0)))},
                {{"axis", axis[0]},
                 {"keepdims", std::int64_t{0}},
                 {"output_type", static_cast<std::int64_t>(type)}});
}

Status cast_to(Builder& b, const Operator& op, ValueId from) {
  return by_raw(b, op, "Cast", {from},
                {{"to", static_cast<std::int64_t>(TRY(b.info(out(op)))->type)}});
}

// Integers, or halves, as the real numbers that they stand for.
Status dequantise(Builder& b, const Operator& op) {
  const TensorInfo* x = TRY(b.info(in(op, 0)));
  const ValueId y = TRY(b.real(in(op, 0)));
  return b.give_real(out(op),
                     x->type == Element::f16 && !x->constant ? b.cast(y, Element::f32) : y);
}

// x / sqrt(sum x^2) over the last axis, which with a scale of 1 / 128 is what integers use too.
Status l2_normalization(Builder& b, const Operator& op) {
  return b.give_real(out(op), b.emit("LpNormalization", {TRY(b.real(in(op, 0)))},
                                     {{"axis", std::int64_t{-1}}, {"p", std::int64_t{2}}}));
}

Status batch_matmul(Builder& b, const Operator& op) {
  ValueId sides[2];
  for (std::size_t i = 0; i < 2; ++i) {
    sides[i] = TRY(b.real(in(op, i)));
    if (op.options.number<std::uint8_t>(static_cast<unsigned>(i), 0) == 0) continue;
    Ints order;
    const auto rank = static_cast<std::int64_t>(TRY(rank_of(b, in(op, i))));
    for (std::int64_t k = 0; k < rank; ++k) order.push_back(k);
    if (rank >= 2) std::swap(order[order.size() - 1], order[order.size() - 2]);
    sides[i] = b.transposed(sides[i], order);
  }
  return b.give_real(out(op), b.emit("MatMul", {sides[0], sides[1]}));
}

Status reshape(Builder& b, const Operator& op) {
  if (has(op, 1))
    return by_raw(b, op, "Reshape", {TRY(b.raw(in(op, 0))), TRY(b.raw(in(op, 1)))},
                  {{"allowzero", std::int64_t{1}}});
  const auto given = TRY(op.options.numbers<std::int32_t>(0));
  Ints shape(given.begin(), given.end());
  if (shape.size() == 1 && shape[0] == 0) shape.clear();  // a scalar, as old converters wrote it
  return by_raw(b, op, "Reshape", {TRY(b.raw(in(op, 0))), b.integers(shape)},
                {{"allowzero", std::int64_t{1}}});
}

Status squeeze(Builder& b, const Operator& op) {
  const auto axes = TRY(op.options.numbers<std::int32_t>(0));
  std::vector<ValueId> inputs{TRY(b.raw(in(op, 0)))};
  if (!axes.empty()) inputs.push_back(b.integers({axes.begin(), axes.end()}));
  return by_raw(b, op, "Squeeze", std::move(inputs));
}

Status softmax(Builder& b, const Operator& op) {
  const float beta = op.options.number<float>(0, 1.0f);
  ValueId x = TRY(b.real(in(op, 0)));
  if (beta != 1 && beta != 0) x = b.emit("Mul", {x, b.scalar(beta)});
  return b.give_real(out(op), b.emit("Softmax", {x}, {{"axis", std::int64_t{-1}}}));
}

Status select(Builder& b, const Operator& op) {
  return b.give_real(out(op), b.emit("Where", {TRY(b.raw(in(op, 0))), TRY(b.real(in(op, 1))),
                                               TRY(b.real(in(op, 2)))}));
}

// Rows of a table of integers with a scale each.
Status scaled_rows(Builder& b, const Operator& op) {
  const TensorInfo* table = TRY(b.info(in(op, 1)));
  const Quantisation& q = table->quantisation;
  const bool has_row_scales =
      q.block == 0 && q.axis == 0 && table->constant && table->constant->rank() == 2 &&
      std::cmp_equal(q.scale.size(), table->constant->dims[0]) &&
      std::ranges::all_of(q.zero, [](std::int64_t zero) { return zero == 0; });
  const ValueId ids = TRY(b.raw(in(op, 0)));
  if (!has_row_scales) return b.give_real(out(op), b.emit("Gather", {TRY(b.real(in(op, 1))), ids}));
  Tensor scales = TRY(make_tensor(Element::f32, {table->constant->dims[0], 1}));
  std::ranges::copy(q.scale, scales.data<float>());
  const ValueId codes = b.cast(b.emit("Gather", {TRY(b.raw(in(op, 1))), ids}), Element::f32);
  return b.give_real(
      out(op), b.emit("Mul", {codes, b.emit("Gather", {b.constant(std::move(scales)), ids})}));
}

Status gather(Builder& b, const Operator& op, bool rows) {
  const std::int64_t batch = rows ? 0 : op.options.number<std::int32_t>(1, 0);
  if (batch != 0) {
    if (batch < 0 || op.options.number<std::int32_t>(0, 0) != batch)
      return Error(ErrorKind::unsupported, "an axis that is not the first after the batch");
    const ValueId places =
        b.emit("Unsqueeze", {b.cast(TRY(b.raw(in(op, 1))), Element::i64), b.integers({-1})});
    return by_raw(b, op, "GatherND", {TRY(b.raw(in(op, 0))), places}, {{"batch_dims", batch}});
  }
  if (rows && TRY(b.info(in(op, 1)))->quantisation.scale.size() > 1) return scaled_rows(b, op);
  return by_raw(
      b, op, "Gather", {TRY(b.raw(in(op, rows ? 1 : 0))), TRY(b.raw(in(op, rows ? 0 : 1)))},
      {{"axis", rows ? std::int64_t{0} : std::int64_t{op.options.number<std::int32_t>(0, 0)}}});
}

// One operator of ours with the same inputs in the same order, in real numbers; the slot of a fused
// activation, or -1.
struct Same {
  int code;
  std::string_view name;
  int activation = -1;
};
constexpr Same same[] = {{0, "Add", 0},
                         {18, "Mul", 0},
                         {41, "Sub", 0},
                         {42, "Div", 0},
                         {8, "Floor"},
                         {14, "Sigmoid"},
                         {19, "Relu"},
                         {21, "hearth.Relu6"},
                         {28, "Tanh"},
                         {47, "Exp"},
                         {50, "LogSoftmax"},
                         {54, "PRelu"},
                         {55, "Max"},
                         {57, "Min"},
                         {59, "Neg"},
                         {66, "Sin"},
                         {73, "Log"},
                         {75, "Sqrt"},
                         {76, "hearth.Rsqrt"},
                         {78, "Pow"},
                         {90, "hearth.FloorDiv"},
                         {92, "hearth.Square"},
                         {95, "hearth.FloorMod"},
                         {99, "hearth.SquaredDifference"},
                         {101, "Abs"},
                         {104, "Ceil"},
                         {106, "Sum"},
                         {108, "Cos"},
                         {111, "Elu"},
                         {116, "Round"},
                         {117, "HardSwish"},
                         {158, "Sign"}};
// The same, with results that are no quantised numbers.
constexpr Same tests[] = {{58, "Less"},        {61, "Greater"}, {62, "GreaterOrEqual"},
                          {63, "LessOrEqual"}, {71, "Equal"},   {72, "hearth.NotEqual"},
                          {84, "Or"},          {86, "And"},     {87, "Not"}};
// And on stored numbers.
constexpr Same moves[] = {{39, "Transpose"},   {69, "Tile"},   {70, "Unsqueeze"},
                          {94, "hearth.Fill"}, {96, "Range"},  {105, "hearth.Reverse"},
                          {107, "GatherND"},   {130, "Expand"}};
constexpr Same reductions[] = {
    {40, "ReduceMean"}, {74, "ReduceSum"},        {81, "ReduceProd"},       {82, "ReduceMax"},
    {89, "ReduceMin"},  {91, "hearth.ReduceAny"}, {140, "hearth.ReduceAll"}};

const Same* find(std::span<const Same> list, int code) {
  const auto found = std::ranges::find(list, code, &Same::code);
  return found == list.end() ? nullptr : &*found;
}

Status raw_inputs(Builder& b, const Operator& op, std::string_view name) {
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) inputs.push_back(TRY(b.raw(in(op, i))));
  return by_raw(b, op, name, std::move(inputs));
}

}  // namespace

Status add_operator(Builder& b, const Operator& op) {
  if (TRY(add_fixed(b, op))) return Done{};
  if (const Same* row = find(same, op.code)) return by_real(b, op, row->name, row->activation);
  if (const Same* row = find(tests, op.code)) {
    std::vector<ValueId> inputs;
    for (std::size_t i = 0; i < op.inputs.size(); ++i) inputs.push_back(TRY(b.real(in(op, i))));
    return by_raw(b, op, row->name, std::move(inputs));
  }
  if (const Same* row = find(moves, op.code)) return raw_inputs(b, op, row->name);
  if (const Same* row = find(reductions, op.code)) return reduce(b, op, row->name);
  switch (op.code) {
    case 1:
      return pooling(b, op, "AveragePool");
    case 2:
      return concatenation(b, op);
    case 3:
    case 4:
      return convolution(b, op);
    case 5:
      return blocks(b, op, "DepthToSpace");
    case 6:
      return dequantise(b, op);
    case 7:
      return gather(b, op, true);
    case 9:
      return fully_connected(b, op);
    case 11:
      return l2_normalization(b, op);
    case 17:
      return pooling(b, op, "MaxPool");
    case 20:
      return b.give_real(out(op), TRY(b.activated(TRY(b.real(in(op, 0))), 2)));
    case 22:
      return reshape(b, op);
    case 23:
      return resize(b, op, false);
    case 25:
      return softmax(b, op);
    case 26:
      return blocks(b, op, "SpaceToDepth");
    case 34:
    case 60:
    case 100:
      return pad(b, op);
    case 36:
      return gather(b, op, false);
    case 43:
      return squeeze(b, op);
    case 45:
    case 65:
      return add_slice(b, op);
    case 49:
    case 102:
      return split(b, op);
    case 53:
      return cast_to(b, op, TRY(b.real(in(op, 0))));
    case 56:
      return extreme_place(b, op, "ArgMax");
    case 79:
      return extreme_place(b, op, "ArgMin");
    case 64:
    case 123:
      return select(b, op);
    case 67:
      return transposed_convolution(b, op);
    case 77:
      return cast_to(b, op, b.emit("Shape", {TRY(b.raw(in(op, 0)))}));
    case 83:
      return pack(b, op);
    case 88:
      return unpack(b, op);
    case 93:
      return by_raw(b, op, "Sub", {TRY(b.raw(in(op, 0))), TRY(b.raw(in(op, 0)))});
    case 97:
      return resize(b, op, true);
    case 98:
      return by_real(b, op, "LeakyRelu", -1, {{"alpha", double{op.options.number<float>(0, 0)}}});
    case 114:
      return b.give_real(out(op), TRY(b.real(in(op, 0))));
    case 126:
      return batch_matmul(b, op);
    case 128:
      return by_real(b, op, "CumSum", -1,
                     {{"exclusive", std::int64_t{op.options.number<std::uint8_t>(0, 0)}},
                      {"reverse", std::int64_t{op.options.number<std::uint8_t>(1, 0)}}});
    case 150:
      return by_real(b, op, "Gelu", -1,
                     {{"approximate",
                       std::string(op.options.number<std::uint8_t>(0, 0) != 0 ? "tanh" : "none")}});
    default:
      return add_rare_operator(b, op);
  }
}

}  // namespace hearth::graphs::tflite
