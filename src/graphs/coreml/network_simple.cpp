// Layers element by element, reductions and recurrent layers.
// Source: Core ML Tools, NeuralNetwork.proto.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "graphs/coreml/network.h"

namespace hearth::graphs::coreml {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// A value per channel, or one for all.
Result<ValueId> per_channel(Layer& layer, const Fields& params, std::uint32_t field) {
  const Fields weights = TRY(params.message(field));
  const Dims x = TRY(layer.dims());
  const std::int64_t channels = x.size() < 3 ? 1 : x[x.size() - 3];
  const auto count = weights.has(1) ? TRY(weights.floats(1)).size()
                     : weights.has(2)
                         ? weights.bytes(2).size() / 2
                         : static_cast<std::size_t>(std::max<std::int64_t>(channels, 1));
  return layer.b.constant(
      TRY(read_weights(params.bytes(field), {static_cast<std::int64_t>(count), 1, 1})));
}

Status activation(Layer& layer) {
  const ValueId x = TRY(layer.in());
  Emitter& b = layer.b;
  const Fields& all = layer.p;
  if (all.all().empty()) return corrupt("an activation of no kind");
  const std::uint32_t kind = all.all().back().number;
  const Fields p = TRY(all.message(kind));
  const double alpha = p.real(1), beta = p.real(2);
  switch (kind) {
    case 5:
      return layer.give(b.emit("Affine", {x}, {{"alpha", alpha}, {"beta", beta}}));
    case 10:
      return layer.give(b.emit("Relu", {x}));
    case 15:
      return layer.give(b.emit("LeakyRelu", {x}, {{"alpha", alpha}}));
    case 20: {
      const ValueId kept = b.emit("GreaterOrEqual", {x, layer.scalar(alpha)});
      return layer.give(b.emit("Where", {kept, x, layer.scalar(0)}));
    }
    case 25:
      return layer.give(b.emit("PRelu", {x, TRY(per_channel(layer, p, 1))}));
    case 30:
      return layer.give(b.emit("Tanh", {x}));
    case 31:
      return layer.give(b.emit(
          "Mul", {b.emit("Tanh", {b.emit("Mul", {x, layer.scalar(beta)})}), layer.scalar(alpha)}));
    case 40:
      return layer.give(b.emit("Sigmoid", {x}));
    case 41:
      return layer.give(b.emit("HardSigmoid", {x}, {{"alpha", alpha}, {"beta", beta}}));
    case 50:
      return layer.give(b.emit("Elu", {x}, {{"alpha", alpha}}));
    case 60:
      return layer.give(b.emit("Softsign", {x}));
    case 70:
      return layer.give(b.emit("Softplus", {x}));
    case 71: {
      const ValueId inner = b.emit("Mul", {x, TRY(per_channel(layer, p, 2))});
      return layer.give(
          b.emit("Mul", {b.emit("Softplus", {inner}), TRY(per_channel(layer, p, 1))}));
    }
    default:
      return Error(ErrorKind::unsupported, fmt::format("kind {}", kind));
  }
}

Status softmax(Layer& layer) {
  const std::int64_t axis = layer.kind == 175 ? -3 : layer.p.integer(1);
  return layer.give(layer.b.emit("Softmax", {TRY(layer.in())}, {{"axis", axis}}));
}

// UnaryFunction: f(scale * x + shift).
Status unary(Layer& layer) {
  Emitter& b = layer.b;
  ValueId x = TRY(layer.in());
  const double scale = layer.p.has(5) ? layer.p.real(5) : 1, shift = layer.p.real(4),
               alpha = layer.p.real(2), epsilon = layer.real(3, 1e-6);
  if (scale != 1) x = b.emit("Mul", {x, layer.scalar(scale)});
  if (shift != 0) x = b.emit("Add", {x, layer.scalar(shift)});
  switch (layer.p.integer(1)) {
    case 0:
      return layer.give(b.emit("Sqrt", {x}));
    case 1:
      return layer.give(b.emit("hearth.Rsqrt", {b.emit("Add", {x, layer.scalar(epsilon)})}));
    case 2:
      return layer.give(b.emit("Reciprocal", {b.emit("Add", {x, layer.scalar(epsilon)})}));
    case 3:
      return layer.give(b.emit("Pow", {x, layer.scalar(alpha)}));
    case 4:
      return layer.give(b.emit("Exp", {x}));
    case 5:
      return layer.give(b.emit("Log", {x}));
    case 6:
      return layer.give(b.emit("Abs", {x}));
    case 7:
      return layer.give(b.emit("Max", {x, layer.scalar(alpha)}));
    default:
      return Error(ErrorKind::unsupported, fmt::format("function {}", layer.p.integer(1)));
  }
}

// One input with a number, or several with one another.
Status several(Layer& layer) {
  ValueId y = TRY(layer.in());
  if (layer.inputs.size() == 1 && (layer.kind == 230 || layer.kind == 231))
    return layer.give(layer.b.emit(layer.ours, {y, layer.scalar(layer.p.real(1))}));
  for (std::size_t i = 1; i < layer.inputs.size(); ++i)
    y = layer.b.emit(layer.ours, {y, TRY(layer.in(i))});
  if (layer.kind == 240 && layer.inputs.size() > 1)
    y = layer.b.emit("Mul", {y, layer.scalar(1.0 / static_cast<double>(layer.inputs.size()))});
  return layer.give(y);
}

// [c], [1], [1, h, w] or [c, h, w] as it broadcasts over [..., c, h, w].
Result<ValueId> spread(Layer& layer, std::uint32_t shape_field, std::uint32_t field) {
  Dims shape = TRY(layer.ints(shape_field, {1}));
  const Tensor values = TRY(layer.weights(field, shape));
  while (shape.size() < 3) shape.push_back(1);
  return layer.b.constant(graphs::reshaped(values, shape));
}

Status scale(Layer& layer) {
  ValueId y = layer.b.emit("Mul", {TRY(layer.in()), TRY(spread(layer, 1, 2))});
  if (layer.p.flag(3)) y = layer.b.emit("Add", {y, TRY(spread(layer, 4, 5))});
  return layer.give(y);
}
Status bias(Layer& layer) {
  return layer.give(layer.b.emit("Add", {TRY(layer.in()), TRY(spread(layer, 1, 2))}));
}

Status dot(Layer& layer) {
  Emitter& b = layer.b;
  ValueId sides[2] = {TRY(layer.in(0)), TRY(layer.in(1))};
  const auto over = [&] { return b.integers({-3}); };
  if (layer.p.flag(1))
    for (ValueId& side : sides) side = b.emit("Div", {side, b.emit("ReduceL2", {side, over()})});
  return layer.give(b.emit("ReduceSum", {b.emit("Mul", {sides[0], sides[1]}), over()}));
}

Status reduce(Layer& layer) {
  constexpr std::string_view names[] = {"ReduceSum", "ReduceMean",      "ReduceProd",
                                        "",          "ReduceSumSquare", "ReduceL1",
                                        "ReduceL2",  "ReduceMax",       "ReduceMin"};
  const Ints axes[] = {{-3, -2, -1}, {-2, -1}, {-3}, {-2}, {-1}};
  const auto mode = static_cast<std::size_t>(layer.p.integer(1)),
             which = static_cast<std::size_t>(layer.p.integer(3));
  if (mode > 9 || which > 4) return Error(ErrorKind::unsupported, fmt::format("mode {}", mode));
  ValueId x = TRY(layer.in());
  if (mode == 9) {
    Dims dims = TRY(layer.dims());
    if (axes[which].size() != 1 || dims.size() < 3) return corrupt("the best of several axes");
    dims[dims.size() - static_cast<std::size_t>(-axes[which][0])] = 1;
    return layer.give_number(layer.b.emit("ArgMax", {x}, {{"axis", axes[which][0]}}), dims);
  }
  if (mode == 3) {
    x = layer.b.emit("Log", {layer.b.emit("Add", {x, layer.scalar(layer.real(2, 1e-6))})});
    return layer.give(layer.b.emit("ReduceSum", {x, layer.b.integers(axes[which])}));
  }
  return layer.give(layer.b.emit(names[mode], {x, layer.b.integers(axes[which])}));
}

// Reductions of any axes: 1 axes, 2 keepDims, 3 reduceAll.
Status reduce_any(Layer& layer) {
  const bool all = layer.p.flag(3);
  const std::int64_t keep = layer.p.flag(2) ? 1 : 0;
  std::vector<ValueId> inputs{TRY(layer.in())};
  if (!all) inputs.push_back(layer.b.integers(TRY(layer.p.integers(1))));
  ValueId y = layer.b.emit(layer.ours, inputs, {{"keepdims", keep}});
  if (TRY(layer.net.dims(y)).empty()) y = layer.reshaped(y, {1});  // never less than one axis
  return layer.give(y);
}

Status same(Layer& layer) { return layer.give(layer.b.emit(layer.ours, {TRY(layer.in())})); }

Status exp2(Layer& layer) {
  const ValueId x = layer.b.emit("Mul", {TRY(layer.in()), layer.scalar(0.69314718055994530942)});
  return layer.give(layer.b.emit("Exp", {x}));
}

Status clip(Layer& layer) {
  return layer.give(layer.b.emit(
      "Clip", {TRY(layer.in()), layer.scalar(layer.p.real(1)), layer.scalar(layer.p.real(2))}));
}

Status clamped_relu(Layer& layer) {
  const ValueId y =
      layer.b.emit("LeakyRelu", {TRY(layer.in())}, {{"alpha", double{layer.p.real(1)}}});
  return layer.give(layer.b.emit("Min", {y, layer.scalar(layer.p.real(2))}));
}

Status gelu(Layer& layer) {
  const ValueId x = TRY(layer.in());
  if (layer.p.integer(1) == 2)
    return layer.give(layer.b.emit("com.microsoft.QuickGelu", {x}, {{"alpha", 1.702}}));
  return layer.give(layer.b.emit(
      "Gelu", {x}, {{"approximate", std::string(layer.p.integer(1) == 1 ? "tanh" : "none")}}));
}

Status binary(Layer& layer) {
  return layer.give(layer.b.emit(layer.ours, {TRY(layer.in(0)), TRY(layer.in(1))}));
}

// With another input, or with the number in the parameters.
Status compare(Layer& layer) {
  const bool is_equality = layer.kind < 825;
  const ValueId other =
      layer.inputs.size() > 1 ? TRY(layer.in(1)) : layer.scalar(layer.p.real(is_equality ? 1 : 2));
  return layer.give_number(layer.b.emit(layer.ours, {TRY(layer.in(0)), other}));
}

Status logical(Layer& layer) {
  std::vector<ValueId> sides;
  for (std::size_t i = 0; i < layer.inputs.size(); ++i)
    sides.push_back(layer.b.cast(TRY(layer.in(i)), Element::boolean));
  return layer.give_number(layer.b.emit(layer.ours, sides));
}

Status where(Layer& layer) {
  const ValueId condition = layer.b.cast(TRY(layer.in(0)), Element::boolean);
  return layer.give(layer.b.emit("Where", {condition, TRY(layer.in(1)), TRY(layer.in(2))}));
}

// ---- recurrent layers: x [steps, batch, channels, 1, 1], states [1, batch, hidden, 1, 1]

struct Gate {
  std::uint32_t weight, recursion, bias;
};

// Blocks of rows, gate by gate, as one matrix.
Result<Tensor> stacked(const std::vector<Tensor>& parts) {
  Dims dims = parts[0].dims;
  dims[0] *= static_cast<std::int64_t>(parts.size());
  Tensor all = TRY(make_tensor(Element::f32, dims));
  std::size_t at = 0;
  for (const Tensor& part : parts) {
    if (part.byte_count() > 0) std::memcpy(all.bytes + at, part.bytes, part.byte_count());
    at += part.byte_count();
  }
  return all;
}

struct Sizes {
  std::int64_t width = 0, hidden = 0;
};

struct Side {
  Tensor w, r, bias, peepholes;
};

Result<Side> read_side(const Fields& from, std::span<const Gate> gates, const Sizes& n,
                       bool has_bias) {
  std::vector<Tensor> w, r, bias;
  for (const Gate& gate : gates) {
    w.push_back(TRY(read_weights(from.bytes(gate.weight), {n.hidden, n.width})));
    r.push_back(TRY(read_weights(from.bytes(gate.recursion), {n.hidden, n.hidden})));
    if (has_bias) bias.push_back(TRY(read_weights(from.bytes(gate.bias), {n.hidden})));
  }
  Side side{TRY(stacked(w)), TRY(stacked(r)), {}, {}};
  if (!has_bias) return side;
  for (std::size_t i = 0, k = bias.size(); i < k; ++i) {  // the recurrent ones are none
    Tensor zero = TRY(make_tensor(Element::f32, {n.hidden}));
    std::fill_n(zero.data<float>(), n.hidden, 0.0f);
    bias.push_back(std::move(zero));
  }
  side.bias = TRY(stacked(bias));
  return side;
}

Result<Tensor> both(const Tensor& a, const Tensor* b) {
  Dims dims = a.dims;
  dims.insert(dims.begin(), 1);
  std::vector<Tensor> parts{graphs::reshaped(a, dims)};
  if (b != nullptr) parts.push_back(graphs::reshaped(*b, dims));
  return stacked(parts);
}

Status give_cells(Layer& layer, const Cells& cells, bool all_steps) {
  Emitter& b = layer.b;
  const Dims x = TRY(layer.dims());
  if (x.size() != 5) return corrupt(fmt::format("steps of {}", to_text(x)));
  const bool two = cells.direction == "bidirectional", has_cell = cells.op == "LSTM";
  const ValueId steps = b.emit("Squeeze", {TRY(layer.in()), b.integers({3, 4})});
  const auto state = [&](std::size_t forward, std::size_t backward) -> Result<ValueId> {
    if (forward >= layer.inputs.size()) return absent;
    ValueId id = b.emit("Squeeze", {TRY(layer.in(forward)), b.integers({3, 4})});
    if (two && backward < layer.inputs.size()) {
      const ValueId other = b.emit("Squeeze", {TRY(layer.in(backward)), b.integers({3, 4})});
      id = b.emit("Concat", {id, other}, {{"axis", std::int64_t{0}}});
    }
    return id;
  };
  const ValueId h = TRY(state(1, 3)), c = has_cell ? TRY(state(2, 4)) : absent;
  const CellOutputs made = emit_cells(b, steps, h, c, cells);
  const std::int64_t n = two ? 2 : 1;
  ValueId y;
  Dims dims{all_steps ? x[0] : 1, x[1], n * cells.hidden, 1, 1};
  if (all_steps)
    y = b.emit("Reshape",
               {b.transposed(made.y, {0, 2, 1, 3}), b.integers({0, 0, n * cells.hidden, 1, 1})});
  else
    y = layer.reshaped(b.transposed(made.h, {1, 0, 2}), {1, -1, n * cells.hidden, 1, 1});
  TRY(layer.give(y, dims, 0));
  dims = {1, x[1], cells.hidden, 1, 1};
  const auto give_state = [&](ValueId id, std::size_t forward, std::size_t backward) -> Status {
    if (forward >= layer.outputs.size()) return Done{};
    std::vector<ValueId> parts{id};
    if (two) parts = b.emit_many("Split", {id}, 2, {{"axis", std::int64_t{0}}});
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::size_t place = i == 0 ? forward : backward;
      if (place < layer.outputs.size())
        TRY(layer.give(b.emit("Unsqueeze", {parts[i], b.integers({3, 4})}), dims, place));
    }
    return Done{};
  };
  TRY(give_state(made.h, 1, 3));
  return has_cell ? give_state(made.c, 2, 4) : Status(Done{});
}

Status add_activations(Cells& cells, const std::vector<Bytes>& list, std::size_t wanted) {
  if (list.size() != wanted) return corrupt(fmt::format("{} activations", list.size()));
  for (const Bytes bytes : list) {
    const Activation a = TRY(read_activation(bytes));
    cells.activations.push_back(a.name);
    cells.alpha.push_back(a.alpha);
    cells.beta.push_back(a.beta);
  }
  return Done{};
}

Result<Sizes> sizes_of(Layer& layer) {
  const Sizes n{layer.p.integer(1), layer.p.integer(2)};
  if (n.width < 1 || n.hidden < 1 || n.width > (1 << 20) || n.hidden > (1 << 20))
    return corrupt(fmt::format("vectors of {} and {}", n.width, n.hidden));
  return n;
}

Status finish_cells(Layer& layer, Cells& cells, const Sizes& n, const Side& first,
                    const Side* second, bool all_steps) {
  cells.hidden = n.hidden;
  cells.w = TRY(both(first.w, second == nullptr ? nullptr : &second->w));
  cells.r = TRY(both(first.r, second == nullptr ? nullptr : &second->r));
  if (first.bias.count > 0)
    cells.bias = TRY(both(first.bias, second == nullptr ? nullptr : &second->bias));
  if (first.peepholes.count > 0)
    cells.peepholes = TRY(both(first.peepholes, second == nullptr ? nullptr : &second->peepholes));
  return give_cells(layer, cells, all_steps);
}

Status simple_recurrent(Layer& layer) {
  const Sizes n = TRY(sizes_of(layer));
  Cells cells;
  cells.op = "RNN";
  TRY(add_activations(cells, {layer.p.bytes(10)}, 1));
  if (layer.p.flag(100)) cells.direction = "reverse";
  constexpr std::array gates{Gate{30, 31, 32}};
  const Side side = TRY(read_side(layer.p, gates, n, layer.p.flag(20)));
  return finish_cells(layer, cells, n, side, nullptr, layer.p.flag(15));
}

Status gru(Layer& layer) {
  const Sizes n = TRY(sizes_of(layer));
  Cells cells;
  cells.op = "GRU";
  TRY(add_activations(cells, layer.p.messages(10), 2));
  if (layer.p.flag(100)) cells.direction = "reverse";
  constexpr std::array gates{Gate{30, 50, 70}, Gate{31, 51, 71}, Gate{32, 52, 72}};
  const Side side = TRY(read_side(layer.p, gates, n, layer.p.flag(20)));
  return finish_cells(layer, cells, n, side, nullptr, layer.p.flag(15));
}

// LSTMParams: 10 all steps, 20 biases, 30 forget bias, 40 peepholes, 50 coupled, 60 clip.
Status lstm(Layer& layer) {
  const bool two = layer.kind == 430;
  const Sizes n = TRY(sizes_of(layer));
  const Fields params = TRY(layer.p.message(15));
  Cells cells;
  cells.op = "LSTM";
  cells.is_coupled = params.flag(50);
  cells.memory_clip = params.real(60) > 0 ? params.real(60) : 50;
  cells.direction = two ? "bidirectional" : layer.p.flag(100) ? "reverse" : "forward";
  TRY(add_activations(cells, layer.p.messages(10), 3));
  if (two) TRY(add_activations(cells, layer.p.messages(11), 3));
  // Ours: input, output, forget, cell.
  constexpr std::array gates{Gate{1, 20, 40}, Gate{4, 23, 43}, Gate{2, 21, 41}, Gate{3, 22, 42}};
  std::vector<Side> sides;
  for (const Bytes bytes : layer.p.messages(20)) {
    const Fields from = TRY(Fields::of(bytes));
    Side side = TRY(read_side(from, gates, n, params.flag(20) || params.flag(30)));
    if (params.flag(30))  // the forget gate's bias is one more
      for (std::int64_t i = 0; i < n.hidden; ++i) side.bias.data<float>()[2 * n.hidden + i] += 1;
    if (params.flag(40))
      side.peepholes = TRY(stacked({TRY(read_weights(from.bytes(60), {n.hidden})),
                                    TRY(read_weights(from.bytes(62), {n.hidden})),
                                    TRY(read_weights(from.bytes(61), {n.hidden}))}));
    sides.push_back(std::move(side));
  }
  if (sides.size() != (two ? 2u : 1u)) return corrupt(fmt::format("{} weights", sides.size()));
  return finish_cells(layer, cells, n, sides[0], two ? &sides[1] : nullptr, params.flag(10));
}

constexpr LayerRow rows[] = {
    {130, "activation", activation},
    {175, "softmax", softmax},
    {950, "softmaxND", softmax},
    {220, "unary", unary},
    {230, "add", several, "Add"},
    {231, "multiply", several, "Mul"},
    {240, "average", several, "Add"},
    {260, "max", several, "Max"},
    {261, "min", several, "Min"},
    {245, "scale", scale},
    {250, "bias", bias},
    {270, "dot", dot},
    {280, "reduce", reduce},
    {400, "simpleRecurrent", simple_recurrent},
    {410, "gru", gru},
    {420, "uniDirectionalLSTM", lstm},
    {430, "biDirectionalLSTM", lstm},
    {600, "copy", same, "Identity"},
    {660, "clip", clip},
    {665, "ceil", same, "Ceil"},
    {670, "floor", same, "Floor"},
    {680, "sign", same, "Sign"},
    {685, "round", same, "Round"},
    {700, "exp2", exp2},
    {710, "sin", same, "Sin"},
    {715, "cos", same, "Cos"},
    {720, "tan", same, "Tan"},
    {730, "asin", same, "Asin"},
    {735, "acos", same, "Acos"},
    {740, "atan", same, "Atan"},
    {750, "sinh", same, "Sinh"},
    {755, "cosh", same, "Cosh"},
    {760, "tanh", same, "Tanh"},
    {770, "asinh", same, "Asinh"},
    {775, "acosh", same, "Acosh"},
    {780, "atanh", same, "Atanh"},
    {790, "erf", same, "Erf"},
    {795, "gelu", gelu},
    {815, "equal", compare, "Equal"},
    {820, "notEqual", compare, "hearth.NotEqual"},
    {825, "lessThan", compare, "Less"},
    {827, "lessEqual", compare, "LessOrEqual"},
    {830, "greaterThan", compare, "Greater"},
    {832, "greaterEqual", compare, "GreaterOrEqual"},
    {840, "logicalOr", logical, "Or"},
    {845, "logicalXor", logical, "Xor"},
    {850, "logicalNot", logical, "Not"},
    {855, "logicalAnd", logical, "And"},
    {865, "modBroadcastable", binary, "hearth.FloorMod"},
    {870, "minBroadcastable", several, "Min"},
    {875, "maxBroadcastable", several, "Max"},
    {880, "addBroadcastable", several, "Add"},
    {885, "powBroadcastable", binary, "Pow"},
    {890, "divideBroadcastable", binary, "Div"},
    {895, "floorDivBroadcastable", binary, "hearth.FloorDiv"},
    {900, "multiplyBroadcastable", several, "Mul"},
    {905, "subtractBroadcastable", binary, "Sub"},
    {1250, "reduceL1", reduce_any, "ReduceL1"},
    {1255, "reduceL2", reduce_any, "ReduceL2"},
    {1260, "reduceMax", reduce_any, "ReduceMax"},
    {1265, "reduceMin", reduce_any, "ReduceMin"},
    {1270, "reduceSum", reduce_any, "ReduceSum"},
    {1275, "reduceProd", reduce_any, "ReduceProd"},
    {1280, "reduceMean", reduce_any, "ReduceMean"},
    {1285, "reduceLogSum", reduce_any, "ReduceLogSum"},
    {1290, "reduceSumSquare", reduce_any, "ReduceSumSquare"},
    {1295, "reduceLogSumExp", reduce_any, "ReduceLogSumExp"},
    {1330, "whereBroadcastable", where},
    {1460, "clampedReLU", clamped_relu},
};

}  // namespace

std::span<const LayerRow> simple_layers() { return rows; }

// Source: NeuralNetwork.proto, ActivationParams; what recurrent layers may have within.
Result<Activation> read_activation(Bytes params) {
  const Fields f = TRY(Fields::of(params));
  if (f.all().empty()) return corrupt("an activation of no kind");
  const std::uint32_t kind = f.all().back().number;
  const Fields p = TRY(f.message(kind));
  switch (kind) {
    case 5:
      return Activation{"affine", p.has(1) ? p.real(1) : 1, p.real(2)};
    case 10:
      return Activation{"relu", 0, 0};
    case 30:
      return Activation{"tanh", 0, 0};
    case 31:
      return Activation{"scaledtanh", p.has(1) ? p.real(1) : 1, p.has(2) ? p.real(2) : 1};
    case 40:
      return Activation{"sigmoid", 0, 0};
    case 41:
      return Activation{"hardsigmoid", p.has(1) ? p.real(1) : 0.2, p.has(2) ? p.real(2) : 0.5};
    default:
      return Error(ErrorKind::unsupported, fmt::format("activation {} within a layer", kind));
  }
}

}  // namespace hearth::graphs::coreml
