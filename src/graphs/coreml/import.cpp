// Source: Core ML Tools, Model.proto and the model package format (Manifest.json 1.0.0).
#include "graphs/coreml/import.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/json.h"
#include "base/utf8.h"
#include "graphs/coreml/assembly.h"
#include "graphs/external.h"

namespace hearth::graphs {
namespace coreml {
namespace {

constexpr std::uint64_t most_manifest_bytes = 4u << 20;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// What stands for an input that nobody gives: `value` in every place, an open extent being 1.
Result<Tensor> default_of(const FeatureType& type, double value) {
  Dims dims;
  for (const std::int64_t extent : type.shape) dims.push_back(std::max<std::int64_t>(extent, 1));
  constexpr std::int64_t most = 1 << 28;
  if (TRY(count_of(dims)) > most) return Error(ErrorKind::exhausted, "a default over 2^28 numbers");
  Tensor tensor = TRY(make_tensor(type.element, dims));
  std::vector<double> numbers(static_cast<std::size_t>(tensor.count), value);
  store(type.element, tensor.bytes, Work::f64, numbers.data(), numbers.size());
  return tensor;
}

Status add_input(Assembly& at, const FeatureDescription& feature) {
  Graph& graph = at.b.graph;
  if (feature.name.empty()) return corrupt("an input without a name");
  const ValueId id = at.b.new_value();
  graph.values.back() = value_info(feature);
  graph.inputs.push_back(id);
  const FeatureType& type = feature.type;
  const bool is_array = type.kind == Feature::array || type.kind == Feature::state;
  if (is_array && (type.is_optional || type.kind == Feature::state))
    graph.constants.push_back({id, Value(TRY(default_of(type, type.fallback.value_or(0))))});
  if (type.kind == Feature::state) {
    at.states.push_back({feature.name, id, false});
    return Done{};
  }
  if (type.colour != Colour::bgr) {
    at.features[feature.name] = id;
    return Done{};
  }
  const ValueInfo info = graph.values.back();
  const ValueId turned = at.b.emit("hearth.Reverse", {id, at.b.integers({1})});
  at.give(feature.name, turned, Element::f32);
  graph.values.back().has_shape = info.has_shape;
  graph.values.back().shape = info.shape;
  return Done{};
}

// [1, channels, h, w] of any leading axes as bytes [h, w, channels] or, grey, [h, w].
ValueId as_picture(Emitter& b, ValueId id, const FeatureType& type) {
  const bool colour = type.colour == Colour::rgb || type.colour == Colour::bgr;
  const ValueId shape = b.emit("Shape", {id});
  const ValueId sides = b.emit("Slice", {shape, b.integers({-2}), b.integers({INT32_MAX})});
  const ValueId channels =
      b.integers(colour ? std::vector<std::int64_t>{3} : std::vector<std::int64_t>{});
  const ValueId wanted = b.emit("Concat", {channels, sides}, {{"axis", std::int64_t{0}}});
  ValueId y = b.emit("Reshape", {id, wanted});
  if (type.colour == Colour::bgr) y = b.emit("hearth.Reverse", {y, b.integers({0})});
  if (colour) y = b.transposed(y, {1, 2, 0});
  if (type.colour == Colour::gray_half) return y;
  return b.cast(b.emit("Round", {b.emit("Clip", {y, b.scalar(0), b.scalar(255)})}), Element::u8);
}

Status add_output(Assembly& at, const FeatureDescription& feature) {
  Emitter& b = at.b;
  const FeatureType& type = feature.type;
  ValueId id = TRY(at.feature(feature.name));
  ValueInfo info = b.graph.values[static_cast<std::size_t>(id)];
  info.name = feature.name;
  if (type.kind == Feature::image) {
    id = as_picture(b, id, type);
    info.type = type.colour == Colour::gray_half ? Element::f32 : Element::u8;
    info.shape = {{type.height > 0 ? type.height : -1, {}}, {type.width > 0 ? type.width : -1, {}}};
    if (type.colour == Colour::rgb || type.colour == Colour::bgr) info.shape.push_back({3, {}});
    info.has_shape = !type.flexible_height && !type.flexible_width;
  } else if (info.kind == Value::Kind::tensor) {
    const ValueInfo wanted = value_info(feature);
    const bool is_number = info.type != Element::text && wanted.type != Element::text &&
                           wanted.type != Element::none && wanted.kind == Value::Kind::tensor;
    if (is_number && info.type != wanted.type) {
      id = b.cast(id, wanted.type);
      info.type = wanted.type;
    }
  }
  const ValueId out = b.emit("Identity", {id});
  b.graph.values[static_cast<std::size_t>(out)] = std::move(info);
  b.graph.outputs.push_back(out);
  return Done{};
}

Result<Program> assemble(const std::shared_ptr<const MappedFile>& file, Weights& weights) {
  const Model model = TRY(read_model(file->bytes()));
  const auto graph = std::make_shared<Graph>();
  graph->storage.push_back(file);
  Emitter emitter(*graph);
  Assembly at{emitter, weights, file, {}, {}, {}, 0};
  for (const FeatureDescription& input : model.description.inputs) TRY(add_input(at, input));
  for (const FeatureDescription& state : model.description.states) TRY(add_input(at, state));
  TRY(add_model(at, model));
  if (model.description.outputs.empty()) return corrupt("a model without outputs");
  for (const FeatureDescription& output : model.description.outputs) TRY(add_output(at, output));
  for (const State& state : at.states) {
    if (!state.is_written) continue;
    const ValueId out = emitter.emit("Identity", {state.current});
    for (const FeatureDescription& described : model.description.states)
      if (described.name == state.name) graph->values.back() = value_info(described);
    graph->outputs.push_back(out);
  }
  TRY(finish(*graph));
  Program program;
  program.format = "coreml";
  program.format_version = model.specification;
  program.metadata = model.metadata;
  program.metadata["kind"] = kind_name(model.kind);
  if (const auto found = model.metadata.find("description"); found != model.metadata.end())
    program.description = found->second;
  if (const auto found = model.metadata.find("com.github.apple.coremltools.version");
      found != model.metadata.end())
    program.producer = "coremltools " + found->second;
  program.graph = graph;
  program.warnings = std::move(at.warnings);
  return program;
}

// The path of the package's root model, within its Data folder.
Result<std::string> root_of(const std::string& manifest) {
  const Json json = TRY(parse_json(manifest));
  const Json* root = json.is_object() ? json.find("rootModelIdentifier") : nullptr;
  const Json* items = json.is_object() ? json.find("itemInfoEntries") : nullptr;
  if (root == nullptr || !root->is_string() || items == nullptr || !items->is_object())
    return corrupt("needs rootModelIdentifier and itemInfoEntries");
  const Json* item = items->find(root->as_string());
  const Json* path = item != nullptr && item->is_object() ? item->find("path") : nullptr;
  if (path == nullptr || !path->is_string())
    return corrupt(fmt::format("no item '{}' with a path", printable(root->as_string())));
  return path->as_string();
}

Result<Program> read_package(const std::string& path) {
  const std::string manifest =
      TRY(read_file(join_path(path, "Manifest.json"), most_manifest_bytes));
  auto root = root_of(manifest);
  if (!root) return std::move(root).error().within("Manifest.json");
  ExternalData data(join_path(path, "Data"));
  auto file = data.file(*root);
  if (!file) return std::move(file).error().within("Manifest.json");
  Weights weights(parent_folder(join_path(join_path(path, "Data"), *root)));
  return assemble(*file, weights);
}

bool is_compiled(const std::string& path) {
  return is_file(join_path(path, "coremldata.bin")) || is_file(join_path(path, "model.mil")) ||
         is_file(join_path(path, "model.espresso.net"));
}

}  // namespace
}  // namespace coreml

Result<Program> import_coreml(std::shared_ptr<const MappedFile> file, const std::string& folder) {
  coreml::Weights weights(folder);
  return coreml::assemble(file, weights);
}

Result<Program> import_coreml(std::shared_ptr<const MappedFile> file,
                              std::shared_ptr<const MappedFile> weights) {
  coreml::Weights all(std::move(weights));
  return coreml::assemble(file, all);
}

Result<Program> import_coreml_package(const std::string& path) {
  if (coreml::is_compiled(path))
    return Error(ErrorKind::unsupported,
                 "a compiled Core ML model (.mlmodelc), in Apple's private form: needs the "
                 ".mlmodel or .mlpackage that it was compiled from");
  return coreml::read_package(path);
}

bool is_coreml_package(const std::string& path) {
  return is_folder(path) &&
         (is_file(join_path(path, "Manifest.json")) || coreml::is_compiled(path));
}

// A version, a description, perhaps a flag, then one field of 200 or more: what the model is.
bool looks_like_coreml(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  bool has_version = false;
  for (;;) {
    const auto tag = read_varint(in);
    if (!tag) return false;
    const std::uint64_t number = *tag >> 3, type = *tag & 7;
    if (number >= 200 && number <= 3000 && type == 2) return has_version;
    const auto value = read_varint(in);
    if (!value || (type != 0 && type != 2)) return false;
    if (number == 1 && type == 0)
      has_version = *value >= 1 && *value < 1000;
    else if (!(number == 2 && type == 2) && !(number == 10 && type == 0))
      return false;
    if (type == 2 && !in.skip(*value)) return false;
  }
}

}  // namespace hearth::graphs
