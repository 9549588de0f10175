#include "graphs/coreml/network.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/utf8.h"
#include "graphs/call.h"
#include "graphs/infer.h"
#include "graphs/operators.h"

namespace hearth::graphs::coreml {
namespace {

constexpr std::size_t most_layers = 1u << 20;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

const LayerRow* find_layer(std::uint32_t tag) {
  for (const auto family :
       {image_layers(), simple_layers(), array_layers(), shape_layers(), flow_layers()})
    for (const LayerRow& row : family)
      if (row.tag == tag) return &row;
  return nullptr;
}

constexpr std::uint32_t custom_layer = 500;  // its code is in the application it belongs to

// QuantizationParams: 1 bits, 101 linear {1 scale, 2 bias}, 102 table {1 values}.  Codes of fewer
// than 8 bits are packed from the highest bit of each byte down.
Result<Tensor> dequantised(Bytes raw, const Fields& q, const Dims& dims) {
  const std::int64_t count = TRY(count_of(dims));
  const std::int64_t bits = q.integer(1);
  if (bits < 1 || bits > 8) return corrupt(fmt::format("weights of {} bits", bits));
  const auto n = static_cast<std::uint64_t>(count), width = static_cast<std::uint64_t>(bits);
  if (raw.size() < (n * width + 7) / 8)
    return corrupt(fmt::format("{} bytes for {} weights of {} bits", raw.size(), count, bits));
  std::vector<std::size_t> codes(n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = i * width; k < (i + 1) * width; ++k)
      codes[i] = codes[i] << 1 | (static_cast<std::size_t>(raw[k / 8]) >> (7 - k % 8) & 1);
  Tensor tensor = TRY(make_tensor(Element::f32, dims));
  float* to = tensor.data<float>();
  if (q.has(102)) {
    const auto table = TRY(TRY(q.message(102)).floats(1));
    for (std::size_t i = 0; i < n; ++i) {
      if (codes[i] >= table.size()) return corrupt(fmt::format("an index past {}", table.size()));
      to[i] = table[codes[i]];
    }
    return tensor;
  }
  const Fields linear = TRY(q.message(101));
  const auto scale = TRY(linear.floats(1));
  auto bias = TRY(linear.floats(2));
  if (bias.empty()) bias.assign(1, 0.0f);
  if (scale.empty() || (scale.size() != 1 && n % scale.size() != 0) ||
      (bias.size() != 1 && n % bias.size() != 0))
    return corrupt(fmt::format("{} scales for {} weights", scale.size(), count));
  for (std::size_t i = 0; i < n; ++i)
    to[i] = scale[i * scale.size() / n] * static_cast<float>(codes[i]) + bias[i * bias.size() / n];
  return tensor;
}

}  // namespace

std::string layer_name(std::uint32_t tag) {
  if (const LayerRow* row = find_layer(tag)) return std::string(row->name);
  return tag == custom_layer ? "custom" : fmt::format("layer {}", tag);
}

Result<Tensor> read_weights(Bytes weight_params, const Dims& dims) {
  const Fields f = TRY(Fields::of(weight_params));
  const std::int64_t count = TRY(count_of(dims));
  if (f.has(40)) return dequantised(f.bytes(30), TRY(f.message(40)), dims);
  const auto floats = TRY(f.floats(1));
  if (!floats.empty()) {
    if (static_cast<std::int64_t>(floats.size()) != count)
      return corrupt(fmt::format("{} weights for {}", floats.size(), to_text(dims)));
    Tensor tensor = TRY(make_tensor(Element::f32, dims));
    std::ranges::copy(floats, tensor.data<float>());
    return tensor;
  }
  const Bytes halves = f.bytes(2);
  if (f.has(31)) return Error(ErrorKind::unsupported, "weights of int8RawValue without scales");
  if (static_cast<std::int64_t>(halves.size() / 2) != count || halves.size() % 2 != 0)
    return corrupt(fmt::format("{} bytes of weights for {}", halves.size(), to_text(dims)));
  Tensor tensor = TRY(make_tensor(Element::f32, dims));
  std::vector<std::uint16_t> aligned(halves.size() / 2);
  if (!halves.empty()) std::memcpy(aligned.data(), halves.data(), halves.size());
  load(Work::f32, tensor.bytes, Element::f16, aligned.data(), aligned.size());
  return tensor;
}

Network::Network(Emitter& target, Network* around)
    : b(target), outer(around), depth(around == nullptr ? 0 : around->depth + 1) {
  if (around != nullptr) ranks_are_five = around->ranks_are_five;
}

bool Network::has(std::string_view name) const {
  return blobs_.contains(name) || (outer != nullptr && outer->has(name));
}

Result<ValueId> Network::find(std::string_view name) {
  if (const auto found = blobs_.find(name); found != blobs_.end()) return found->second;
  if (outer == nullptr) return corrupt(fmt::format("value '{}': never written", printable(name)));
  const ValueId around = TRY(outer->find(name));
  outer->catch_up();
  const ValueId id = b.new_value();
  b.graph.values.back() = outer->b.graph.values[static_cast<std::size_t>(around)];
  b.graph.captures.push_back(id);
  captured.push_back(around);
  blobs_.emplace(name, id);
  return id;
}

void Network::define(std::string_view name, ValueId id) {
  blobs_.insert_or_assign(std::string(name), id);
  written.emplace(name);
}

void Network::set(ValueId id, const Dims& dims) {
  ValueInfo& info = b.graph.values[static_cast<std::size_t>(id)];
  info.type = Element::f32;
  info.has_shape = true;
  info.shape.clear();
  for (const std::int64_t extent : dims) info.shape.push_back({extent, {}});
}

// Runs the rules of the nodes that have been added since.
void Network::catch_up() {
  Graph& graph = b.graph;
  for (; indexed_ < graph.constants.size(); ++indexed_) {
    const Constant& constant = graph.constants[indexed_];
    constant_at_[constant.id] = indexed_;
    ValueInfo& info = graph.values[static_cast<std::size_t>(constant.id)];
    if (info.has_shape || constant.value.kind != Value::Kind::tensor) continue;
    info.type = constant.value.tensor.type;
    info.has_shape = true;
    for (const std::int64_t extent : constant.value.tensor.dims) info.shape.push_back({extent, {}});
  }
  for (; inferred_ < graph.nodes.size(); ++inferred_) {
    const Node& node = graph.nodes[inferred_];
    if (node.op->infer == nullptr) continue;
    std::vector<const ValueInfo*> inputs;
    std::vector<const Tensor*> constants;
    std::vector<ValueInfo> outputs(node.outputs.size());
    for (const ValueId id : node.inputs) {
      const auto found = constant_at_.find(id);
      constants.push_back(
          found == constant_at_.end() ? nullptr : &graph.constants[found->second].value.tensor);
      inputs.push_back(id == absent ? nullptr : &graph.values[static_cast<std::size_t>(id)]);
    }
    Inference inference{node, inputs, constants, outputs};
    node.op->infer(inference);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      ValueInfo& info = graph.values[static_cast<std::size_t>(node.outputs[i])];
      if (info.type == Element::none) info.type = outputs[i].type;
      if (info.has_shape || !outputs[i].has_shape) continue;
      info.has_shape = true;
      info.shape = outputs[i].shape;
    }
  }
}

Result<Dims> Network::dims(ValueId id) {
  catch_up();
  const ValueInfo& info = b.graph.values[static_cast<std::size_t>(id)];
  if (!info.has_shape) return Error(ErrorKind::unsupported, "a value of no known rank");
  Dims found;
  for (const Extent& extent : info.shape) found.push_back(extent.value);
  return found;
}

Status Network::add_layers(const Fields& network) { return add_layers(network.messages(1)); }

Status Network::add_layers(std::span<const Bytes> layers) {
  if (depth > most_networks)
    return Error(ErrorKind::exhausted, fmt::format("networks nested {} deep", most_networks));
  Network* outermost = this;
  while (outermost->outer != nullptr) outermost = outermost->outer;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (++outermost->layers_ > most_layers)
      return Error(ErrorKind::exhausted, fmt::format("over {} layers", most_layers));
    if (layers[i].size() > outermost->budget)
      return Error(ErrorKind::exhausted, "loops whose shapes do not settle");
    outermost->budget -= layers[i].size();
    TRY(add_layer(layers[i]));
    const auto rest = layers.subspan(i + 1);
    if (outer != nullptr && !rest.empty() && TRY(may_stop(layers[i])))
      return add_unless_stopped(*this, [&](Network& net) { return net.add_layers(rest); });
  }
  return Done{};
}

// NeuralNetworkLayer: 1 name, 2 inputs, 3 outputs, then one field that says what it is.
Status Network::add_layer(Bytes bytes) {
  const Fields f = TRY(Fields::of(bytes));
  std::uint32_t kind = 0;
  Bytes params;
  for (const WireField& field : f.all())
    if (field.number >= 100 && field.type == 2) {
      kind = field.number;
      params = field.bytes;
    }
  const LayerRow* row = find_layer(kind);
  if (row == nullptr) {
    unknown.insert(layer_name(kind));
    return Done{};
  }
  if (!unknown.empty()) return Done{};
  auto settings = TRY(Fields::of(params));
  Layer layer{*this, b, kind, row->ours, f.texts(2), f.texts(3), std::move(settings)};
  auto added = row->add(layer);
  if (!added)
    return std::move(added).error().within(fmt::format("{} '{}'", row->name, printable(f.text(1))));
  return Done{};
}

Result<ValueId> Layer::in(std::size_t i) {
  if (i >= inputs.size()) return corrupt(fmt::format("no input {}", i));
  return net.find(inputs[i]);
}
Result<Dims> Layer::dims(std::size_t i) { return net.dims(TRY(in(i))); }

Result<ValueId> Layer::places(std::size_t i) { return b.cast(TRY(in(i)), Element::i64); }
Result<ValueId> Layer::flat_places(std::size_t i) { return reshaped(TRY(places(i)), {-1}); }

Result<std::int64_t> Layer::axis(std::int64_t wanted, std::size_t more) {
  const auto found = checked_axis(wanted, TRY(dims(0)).size() + more);
  if (!found) return corrupt(found.error().message());
  return static_cast<std::int64_t>(*found);
}

Status Layer::give(ValueId id, std::size_t i) {
  if (i >= outputs.size()) return corrupt(fmt::format("no output {}", i));
  net.define(outputs[i], id);
  return Done{};
}
Status Layer::give(ValueId id, const Dims& dims, std::size_t i) {
  net.set(id, dims);
  return give(id, i);
}
Status Layer::give_number(ValueId id, std::size_t i) {
  TRY(net.dims(id));
  return give(b.cast(id, Element::f32), i);
}
Status Layer::give_number(ValueId id, const Dims& dims, std::size_t i) {
  return give(b.cast(id, Element::f32), dims, i);
}

Result<Tensor> Layer::weights(std::uint32_t field, const Dims& dims) {
  if (!p.has(field)) return corrupt("no weights");
  return read_weights(p.bytes(field), dims);
}
Result<ValueId> Layer::weight(std::uint32_t field, const Dims& dims) {
  return b.constant(TRY(weights(field, dims)));
}

Result<Ints> Layer::ints(std::uint32_t field, const Ints& fallback) {
  Ints found = TRY(p.integers(field));
  for (const std::int64_t each : found)
    if (each < INT32_MIN || each > INT32_MAX) return corrupt(fmt::format("a number of {}", each));
  if (found.empty()) return fallback;
  return found;
}
double Layer::real(std::uint32_t field, double fallback) {
  const float found = p.real(field, 0);
  return found == 0 ? fallback : found;
}

Result<ValueId> as_images(Layer& layer, ValueId x) {
  const Dims dims = TRY(layer.net.dims(x));
  if (dims.size() == 4) return x;
  if (dims.size() < 3) return corrupt(fmt::format("images of {}", to_text(dims)));
  Emitter& b = layer.b;
  if (dims.size() == 3) return b.emit("Unsqueeze", {x, b.integers({0})});
  if (dims.size() == 5 && dims[0] == 1) return b.emit("Squeeze", {x, b.integers({0})});
  const ValueId last =
      b.emit("Slice", {b.emit("Shape", {x}), b.integers({-3}), b.integers({INT32_MAX})});
  const ValueId y = b.emit(
      "Reshape", {x, b.emit("Concat", {b.integers({-1}), last}, {{"axis", std::int64_t{0}}})});
  const std::size_t n = dims.size();
  std::int64_t images = 1;
  for (std::size_t i = 0; i + 3 < n; ++i)
    images = dims[i] < 0 || images < 0 ? -1 : images * dims[i];
  layer.net.set(y, {images, dims[n - 3], dims[n - 2], dims[n - 1]});
  return y;
}

Result<ValueId> as_before(Layer& layer, ValueId y, ValueId x) {
  const Dims dims = TRY(layer.net.dims(x)), now = TRY(layer.net.dims(y));
  Emitter& b = layer.b;
  if (dims.size() == 4) return y;
  if (dims.size() == 3) return b.emit("Squeeze", {y, b.integers({0})});
  if (dims.size() == 5 && dims[0] == 1) return b.emit("Unsqueeze", {y, b.integers({0})});
  const ValueId first = b.emit("Slice", {b.emit("Shape", {x}), b.integers({0}), b.integers({-3})});
  const ValueId last =
      b.emit("Slice", {b.emit("Shape", {y}), b.integers({1}), b.integers({INT32_MAX})});
  const ValueId z =
      b.emit("Reshape", {y, b.emit("Concat", {first, last}, {{"axis", std::int64_t{0}}})});
  Dims result(dims.begin(), dims.end() - 3);
  result.insert(result.end(), now.begin() + 1, now.end());
  layer.net.set(z, result);
  return z;
}

namespace {

// What an input is before its first layer: an image scaled, an array under five axes.
Result<ValueId> prepared(Assembly& at, Network& net, const FeatureDescription& input,
                         const Fields& network) {
  Emitter& b = net.b;
  ValueId id = TRY(at.feature(input.name, Element::f32));
  const bool is_image = input.type.kind == Feature::image;
  for (const Bytes bytes : network.messages(2)) {
    const Fields f = TRY(Fields::of(bytes));
    const bool unnamed = f.text(1).empty() && is_image;
    if (f.text(1) != input.name && !unnamed) continue;
    if (f.has(10)) {
      const Fields scaler = TRY(f.message(10));
      const bool gray = input.type.colour == Colour::gray;
      const bool bgr = input.type.colour == Colour::bgr;
      Tensor bias = TRY(make_tensor(Element::f32, {gray ? 1 : 3, 1, 1}));
      bias.data<float>()[0] = scaler.real(gray ? 30 : bgr ? 20 : 22);
      if (!gray) {
        bias.data<float>()[1] = scaler.real(21);
        bias.data<float>()[2] = scaler.real(bgr ? 22 : 20);
      }
      const float scale = scaler.real(10, 1);
      if (scale != 1) id = b.emit("Mul", {id, b.scalar(scale)});
      bool shifts = false;
      for (std::int64_t i = 0; i < bias.count; ++i) shifts = shifts || bias.data<float>()[i] != 0;
      if (shifts) id = b.emit("Add", {id, b.constant(std::move(bias))});
    }
    if (f.has(11)) {
      const auto mean = TRY(TRY(f.message(11)).floats(1));
      const Dims dims = TRY(net.dims(id));
      if (dims.size() < 3) return corrupt("a mean image for no image");
      const Dims last(dims.end() - 3, dims.end());
      Tensor image = TRY(make_tensor(Element::f32, last));
      if (image.count != static_cast<std::int64_t>(mean.size()))
        return corrupt(fmt::format("a mean image of {} for {}", mean.size(), to_text(last)));
      std::ranges::copy(mean, image.data<float>());
      id = b.emit("Sub", {id, b.constant(std::move(image))});
    }
  }
  const Dims dims = TRY(net.dims(id));
  if (is_image) return network.integer(6) == 1 ? id : b.emit("Unsqueeze", {id, b.integers({0})});
  if (!net.ranks_are_five || dims.size() == 5) return id;
  if (dims.size() == 1) return b.emit("Unsqueeze", {id, b.integers({0, 1, 3, 4})});
  if (dims.size() == 3) return b.emit("Unsqueeze", {id, b.integers({0, 1})});
  if (dims.size() == 2) return b.emit("Unsqueeze", {id, b.integers({0, 1, 2})});
  if (dims.size() == 4) return b.emit("Unsqueeze", {id, b.integers({0})});
  return corrupt(fmt::format("input '{}' of {}", printable(input.name), to_text(dims)));
}

// A result as the description gives it: without the axes that only five-axis networks have.
Result<ValueId> finished(Network& net, const FeatureDescription& output, ValueId id) {
  const Dims dims = TRY(net.dims(id));
  if (output.type.kind != Feature::array || !net.ranks_are_five || dims.size() != 5) return id;
  const Dims& wanted = output.type.shape;
  std::int64_t have = 1, want = 1;
  for (const std::int64_t extent : dims) have = extent < 0 || have < 0 ? -1 : have * extent;
  for (const std::int64_t extent : wanted) want = extent < 0 || want < 0 ? -1 : want * extent;
  if (!wanted.empty() && have >= 0 && have == want) {
    const ValueId y = net.b.emit("Reshape", {id, net.b.integers(wanted)});
    net.set(y, wanted);
    return y;
  }
  if (!wanted.empty() || dims[0] != 1 || dims[1] != 1) return id;
  const bool flat = dims[3] == 1 && dims[4] == 1;
  return net.b.emit("Squeeze", {id, net.b.integers(flat ? Ints{0, 1, 3, 4} : Ints{0, 1})});
}

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

Status add_outputs(Assembly& at, Network& net, const Model& model, const Fields& classifier) {
  const bool is_classifier = model.kind == 403;
  for (const FeatureDescription& output : model.description.outputs) {
    if (!net.has(output.name) || output.type.kind == Feature::dictionary) continue;
    if (is_classifier && output.name == model.description.predicted_feature) continue;
    const ValueId id =
        net.b.emit("Identity", {TRY(finished(net, output, TRY(net.find(output.name))))});
    const Dims dims = TRY(net.dims(id));
    at.give(output.name, id, Element::f32, &dims);
  }
  if (!is_classifier) return Done{};
  const Tensor labels = TRY(read_labels(classifier, 100, 101));
  // The layer whose values the dictionary holds: named, or the dictionary's own, or the last one.
  std::string name(classifier.text(200));
  if (name.empty()) name = model.description.predicted_probabilities;
  auto scores = net.find(name);
  if (!scores) return std::move(scores).error().within("class scores");
  return give_classes(at, model, *scores, labels);
}

}  // namespace

// NeuralNetwork, -Classifier and -Regressor: 1 layers, 2 preprocessing, 5 and 6 how inputs are
// mapped; a classifier's labels in 100 and 101.
Status add_network(Assembly& at, const Model& model) {
  const Fields network = TRY(Fields::of(model.body));
  Network net(at.b);
  net.ranks_are_five = network.integer(5) == 0;
  constexpr std::uint64_t most_readings = 256;  // of a layer within loops within loops
  net.budget = most_readings * model.body.size();
  for (const FeatureDescription& input : model.description.inputs)
    net.define(input.name, TRY(prepared(at, net, input, network)));
  TRY(net.add_layers(network));
  if (!net.unknown.empty())
    return Error(ErrorKind::unsupported,
                 fmt::format("layers that Hearth does not know: {}", joined(net.unknown)));
  return add_outputs(at, net, model, network);
}

}  // namespace hearth::graphs::coreml
