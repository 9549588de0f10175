// Source: ONNX Runtime, ContribOperators.md.
#include "graphs/onnx/microsoft.h"

#include <fmt/core.h>

#include <algorithm>

namespace hearth::graphs::onnx {
namespace {

// One operator, its operands by their places.
struct Writer {
  Emitter& b;
  const Composed& op;

  ValueId in(std::size_t i) const { return i < op.inputs.size() ? op.inputs[i] : absent; }
  bool has(std::size_t i) const { return in(i) != absent; }
  // Input i as the real numbers that it stands for; its scale and zero follow it.
  ValueId real(std::size_t i, std::size_t scale, std::size_t zero) const {
    return b.emit("DequantizeLinear", {in(i), in(scale), in(zero)});
  }
  ValueId real(std::size_t i) const { return real(i, i + 1, i + 2); }
  ValueId rounded(ValueId id, std::size_t scale, std::size_t zero) const {
    return b.emit("QuantizeLinear", {id, in(scale), in(zero)});
  }
  ValueId rounded(ValueId id, std::size_t scale) const { return rounded(id, scale, scale + 1); }

  std::int64_t whole(std::string_view name, std::int64_t usual) const {
    return integer_of(op.attributes, name, usual);
  }
  double number(std::string_view name, double usual) const {
    const auto* value = find_attribute<double>(op.attributes, name);
    return value == nullptr ? usual : *value;
  }
  std::string text(std::string_view name) const {
    const auto* value = find_attribute<std::string>(op.attributes, name);
    return value == nullptr ? "" : *value;
  }
  Attributes some(std::initializer_list<std::string_view> names) const {
    Attributes kept;
    for (const std::string_view name : names)
      if (const auto found = op.attributes.find(name); found != op.attributes.end())
        kept.insert(*found);
    return kept;
  }
  Attributes all_but(std::initializer_list<std::string_view> names) const {
    Attributes kept = op.attributes;
    for (const std::string_view name : names)
      if (const auto found = kept.find(name); found != kept.end()) kept.erase(found);
    return kept;
  }
};

using Values = Result<std::vector<ValueId>>;

Values quantised_pair(Writer& w, std::string_view name) {
  return std::vector{w.rounded(w.b.emit(name, {w.real(0), w.real(3)}), 6)};
}
Values quantised_add(Writer& w) { return quantised_pair(w, "Add"); }
Values quantised_mul(Writer& w) { return quantised_pair(w, "Mul"); }

// x, its scale and zero, the result's.
Values quantised_single(Writer& w, std::string_view name, Attributes attributes) {
  const bool last = w.whole("channels_last", 0) != 0;
  ValueId x = w.real(0);
  if (last) x = w.b.transposed(x, {0, 3, 1, 2});
  ValueId y = w.b.emit(name, {x}, std::move(attributes));
  if (last) y = w.b.transposed(y, {0, 2, 3, 1});
  return std::vector{w.rounded(y, 3)};
}

// Axes of images of so many axes, channels last to channels second, and back.
std::vector<std::int64_t> channels_second(std::size_t rank) {
  std::vector<std::int64_t> order{0, static_cast<std::int64_t>(rank) - 1};
  for (std::size_t i = 1; i + 1 < rank; ++i) order.push_back(static_cast<std::int64_t>(i));
  return order;
}
std::vector<std::int64_t> channels_last(std::size_t rank) {
  std::vector<std::int64_t> order{0};
  for (std::size_t i = 2; i < rank; ++i) order.push_back(static_cast<std::int64_t>(i));
  order.push_back(1);
  return order;
}
constexpr std::size_t least_axes = 3, most_axes = 5;  // of images

// QLinearConv whose images may have their channels last; the kernel is as everywhere.
Values quantised_convolution(Writer& w) {
  std::vector<ValueId> inputs(w.op.inputs.begin(), w.op.inputs.end());
  const bool last = w.whole("channels_last", 0) != 0;
  const ValueInfo& kernel = w.b.graph.values[static_cast<std::size_t>(w.in(3))];
  const std::size_t rank = kernel.shape.size();
  if (last && (!kernel.has_shape || rank < least_axes || rank > most_axes))
    return Error(ErrorKind::unsupported, "a kernel of unknown rank");
  if (last) inputs[0] = w.b.transposed(inputs[0], channels_second(rank));
  const ValueId y = w.b.emit("QLinearConv", std::move(inputs), w.all_but({"channels_last"}));
  return std::vector{last ? w.b.transposed(y, channels_last(rank)) : y};
}
// MaxPool of images with their channels last.
Values pool_channels_last(Writer& w) {
  const auto found = w.op.attributes.find("kernel_shape");
  const auto* kernel = found == w.op.attributes.end()
                           ? nullptr
                           : std::get_if<std::vector<std::int64_t>>(&found->second);
  const std::size_t rank = kernel == nullptr ? 0 : kernel->size() + 2;
  if (rank < least_axes || rank > most_axes)
    return Error(ErrorKind::corrupt, "a window without sizes");
  const ValueId x = w.b.transposed(w.in(0), channels_second(rank));
  return std::vector{
      w.b.transposed(w.b.emit("MaxPool", {x}, w.op.attributes), channels_last(rank))};
}
Values quantised_sigmoid(Writer& w) { return quantised_single(w, "Sigmoid", {}); }
Values quantised_leaky(Writer& w) {
  return quantised_single(w, "LeakyRelu", {{"alpha", w.number("alpha", 0.01)}});
}
Values quantised_global_pool(Writer& w) { return quantised_single(w, "GlobalAveragePool", {}); }
Values quantised_pool(Writer& w) {
  return quantised_single(w, "AveragePool", w.all_but({"channels_last"}));
}
// Before operator set 13 what is right of the axis belonged together.
Values quantised_softmax(Writer& w) {
  const std::int64_t axis = w.whole("axis", -1);
  if (w.whole("opset", 13) >= 13 || axis == -1)
    return quantised_single(w, "Softmax", {{"axis", axis}});
  const ValueId x = w.real(0);
  const ValueId flat = w.b.emit("Flatten", {x}, {{"axis", axis}});
  const ValueId y = w.b.emit("Softmax", {flat}, {{"axis", std::int64_t{-1}}});
  return std::vector{w.rounded(w.b.emit("Reshape", {y, w.b.emit("Shape", {x})}), 3)};
}
Values quantised_mean(Writer& w) {
  std::vector<ValueId> inputs{w.real(0)};
  if (const auto axes = w.op.attributes.find("axes"); axes != w.op.attributes.end())
    if (const auto* list = std::get_if<std::vector<std::int64_t>>(&axes->second))
      inputs.push_back(w.b.integers(*list));
  return std::vector{w.rounded(w.b.emit("ReduceMean", std::move(inputs), w.some({"keepdims"})), 3)};
}
// The result's scale and zero, then parts with theirs.
Values quantised_concat(Writer& w) {
  std::vector<ValueId> parts;
  for (std::size_t i = 2; i + 2 < w.op.inputs.size(); i += 3) parts.push_back(w.real(i));
  return std::vector{w.rounded(w.b.emit("Concat", std::move(parts), w.some({"axis"})), 0)};
}
Values quantised_where(Writer& w) {
  return std::vector{w.rounded(w.b.emit("Where", {w.in(0), w.real(1), w.real(4)}), 7)};
}

// a, b and whole biases, whose scale is the product of both; without a scale of its own the result
// is real.
Values quantised_gemm(Writer& w) {
  Emitter& b = w.b;
  ValueId y = b.emit("Gemm", {w.real(0), w.real(3)}, w.some({"alpha", "transA", "transB"}));
  if (w.has(6)) {
    const ValueId scale = b.emit("Mul", {b.emit("Mul", {w.in(1), w.in(4)}),
                                         b.scalar(static_cast<float>(w.number("alpha", 1)))});
    y = b.emit("Add", {y, b.emit("Mul", {b.cast(w.in(6), Element::f32), scale})});
  }
  return std::vector{w.has(7) ? w.rounded(y, 7) : y};
}

// Whole numbers a and b, their scales and zeros, a real bias.
ValueId scaled_product(Emitter& b, std::span<const ValueId> o) {
  const ValueId sums = b.cast(b.emit("MatMulInteger", {o[0], o[1], o[4], o[5]}), Element::f32);
  const ValueId y = b.emit("Mul", {sums, b.emit("Mul", {o[2], o[3]})});
  return o[6] == absent ? y : b.emit("Add", {y, o[6]});
}
Values product_to_reals(Writer& w) {
  const ValueId o[] = {w.in(0), w.in(1), w.in(2), w.in(3), w.in(4), w.in(5), w.in(6)};
  return std::vector{scaled_product(w.b, o)};
}
Values dynamic_product(Writer& w) {
  const auto a = w.b.emit_many("DynamicQuantizeLinear", {w.in(0)}, 3);
  const ValueId o[] = {a[0], w.in(1), a[1], w.in(2), a[2], w.in(3), w.in(4)};
  return std::vector{scaled_product(w.b, o)};
}

// x, weights, a real bias, their scales, a mask, their zeros, keys and values so far.
Values quantised_attention(Writer& w) {
  Emitter& b = w.b;
  const ValueId x = b.emit("DequantizeLinear", {w.in(0), w.in(3), w.in(6)});
  const ValueId weights = b.emit("DequantizeLinear", {w.in(1), w.in(4), w.in(7)});
  return b.emit_many("com.microsoft.Attention", {x, weights, w.in(2), w.in(5), w.in(8)}, 2,
                     w.op.attributes);
}

Result<ValueId> activated(Writer& w, ValueId y) {
  const std::string name = w.text("activation");
  if (name.empty()) return y;
  std::vector<double> parameters;
  if (const auto found = w.op.attributes.find("activation_params"); found != w.op.attributes.end())
    if (const auto* list = std::get_if<std::vector<double>>(&found->second)) parameters = *list;
  const auto at = [&](std::size_t i, std::string_view attribute, double usual) {
    return i < parameters.size() ? parameters[i] : w.number(attribute, usual);
  };
  if (name == "Relu" || name == "Sigmoid" || name == "Tanh") return w.b.emit(name, {y});
  if (name == "LeakyRelu") return w.b.emit(name, {y}, {{"alpha", at(0, "activation_alpha", 0.01)}});
  if (name == "HardSigmoid")
    return w.b.emit(
        name, {y},
        {{"alpha", at(0, "activation_alpha", 0.2)}, {"beta", at(1, "activation_beta", 0.5)}});
  if (name == "Clip" && parameters.size() == 2)
    return w.b.emit("Clip", {y, w.b.scalar(static_cast<float>(parameters[0])),
                             w.b.scalar(static_cast<float>(parameters[1]))});
  return Error(ErrorKind::unsupported, fmt::format("activation '{}'", name.substr(0, 32)));
}
Values convolution(Writer& w) {
  ValueId y =
      w.b.emit("Conv", {w.in(0), w.in(1), w.in(2)}, w.all_but({"activation", "activation_params"}));
  if (w.has(3)) y = w.b.emit("Add", {y, w.in(3)});
  return std::vector{TRY(activated(w, y))};
}
Values product(Writer& w) {
  const ValueId y =
      w.b.emit("Gemm", {w.in(0), w.in(1), w.in(2)}, w.some({"alpha", "beta", "transA", "transB"}));
  return std::vector{TRY(activated(w, y))};
}

// Rows of words, places and segments together, normalised; how many words each text has.
Values embedding(Writer& w) {
  Emitter& b = w.b;
  const ValueId words = b.emit("Gather", {w.in(2), w.in(0)});
  ValueId places = absent;
  if (w.has(8)) {
    places = b.emit("Gather", {w.in(3), w.in(8)});
  } else {
    const ValueId length = b.emit("Gather", {b.emit("Shape", {w.in(0)}), b.integer(1)});
    places = b.emit("Slice", {w.in(3), b.integers({0}),
                              b.emit("Reshape", {length, b.integers({1})}), b.integers({0})});
  }
  ValueId sum = b.emit("Add", {words, places});
  if (w.has(1) && w.has(4)) sum = b.emit("Add", {sum, b.emit("Gather", {w.in(4), w.in(1)})});
  const ValueId y = b.emit("LayerNormalization", {sum, w.in(5), w.in(6)},
                           {{"epsilon", w.number("epsilon", 1e-12)}, {"axis", std::int64_t{-1}}});
  ValueId counts = absent;
  if (w.has(7))
    counts =
        b.cast(b.emit("ReduceSum", {w.in(7), b.integers({1})}, {{"keepdims", std::int64_t{0}}}),
               Element::i32);
  else
    counts =
        b.emit("hearth.Fill",
               {b.emit("Slice", {b.emit("Shape", {w.in(0)}), b.integers({0}), b.integers({1})}),
                b.cast(b.integer(0), Element::i32)});
  return std::vector{y, counts, sum};
}

// Weights of whole numbers, [directions, width, 4 cells], turned to the form of LSTM.
Values quantised_lstm(Writer& w) {
  Emitter& b = w.b;
  const std::int64_t directions = w.text("direction") == "bidirectional" ? 2 : 1;
  const auto weights = [&](std::size_t i, std::size_t scale) {
    const auto wide = [&](ValueId id) {
      return b.emit("Reshape", {id, b.integers({directions, 1, -1})});
    };
    const ValueId zero = b.cast(wide(w.in(scale + 1)), Element::f32);
    const ValueId codes = b.emit("Sub", {b.cast(w.in(i), Element::f32), zero});
    return b.transposed(b.emit("Mul", {codes, wide(w.in(scale))}), {0, 2, 1});
  };
  return b.emit_many(
      "LSTM", {w.in(0), weights(1, 8), weights(2, 10), w.in(3), w.in(4), w.in(5), w.in(6), w.in(7)},
      3, w.op.attributes);
}

struct Row {
  std::string_view name;
  Values (*write)(Writer& w);
  std::size_t least_inputs;
};
constexpr Row rows[] = {
    {"DynamicQuantizeLSTM", quantised_lstm, 12},
    {"DynamicQuantizeMatMul", dynamic_product, 3},
    {"EmbedLayerNormalization", embedding, 7},
    {"FusedConv", convolution, 2},
    {"FusedGemm", product, 2},
    {"MatMulIntegerToFloat", product_to_reals, 4},
    {"NhwcMaxPool", pool_channels_last, 1},
    {"QAttention", quantised_attention, 5},
    {"QGemm", quantised_gemm, 6},
    {"QLinearAdd", quantised_add, 7},
    {"QLinearAveragePool", quantised_pool, 4},
    {"QLinearConcat", quantised_concat, 5},
    {"QLinearConv", quantised_convolution, 8},
    {"QLinearGlobalAveragePool", quantised_global_pool, 4},
    {"QLinearLeakyRelu", quantised_leaky, 4},
    {"QLinearMul", quantised_mul, 7},
    {"QLinearReduceMean", quantised_mean, 4},
    {"QLinearSigmoid", quantised_sigmoid, 4},
    {"QLinearSoftmax", quantised_softmax, 4},
    {"QLinearWhere", quantised_where, 8},
};

const Row* row_of(std::string_view name) {
  const auto found = std::ranges::find(rows, name, &Row::name);
  return found == std::end(rows) ? nullptr : &*found;
}

}  // namespace

bool is_composed(std::string_view name) { return row_of(name) != nullptr; }

Result<std::vector<ValueId>> write_composed(Emitter& b, const Composed& op) {
  const Row* row = row_of(op.name);
  if (op.inputs.size() < row->least_inputs)
    return Error(ErrorKind::corrupt, fmt::format("{}: {} inputs, needs {}", op.name,
                                                 op.inputs.size(), row->least_inputs));
  Writer w{b, op};
  return row->write(w);
}

}  // namespace hearth::graphs::onnx
