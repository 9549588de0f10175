// Source: ONNX IR specification; schemas of onnx.proto.
#include "graphs/onnx/import.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/utf8.h"
#include "graphs/onnx/microsoft.h"
#include "graphs/onnx/proto.h"
#include "graphs/operators.h"

namespace hearth::graphs {
namespace onnx {
namespace {

constexpr int most_depth = 24;               // of bodies and functions within one another
constexpr std::size_t most_made = 1u << 20;  // nodes, functions written out
constexpr std::int64_t newest_set = 28;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

using Names = std::map<std::string, ValueId, std::less<>>;
using Given = std::map<std::string_view, const RawAttribute*>;

// Where nodes are being written out: a graph, the names seen from there, and what lies around it.
struct Scope {
  Graph* graph;
  Names names;
  Scope* outer = nullptr;                    // of the graph around this body
  std::vector<ValueId>* captured = nullptr;  // values of `outer` that this body reads
  const Versions* versions;
  const Given* given = nullptr;  // attributes of the function this is the body of
  int depth = 0;
};

class Importer {
 public:
  Importer(std::shared_ptr<const MappedFile> file, const std::string& folder)
      : file_(std::move(file)), external_(folder), budget_(2 * file_->bytes().size()) {}
  Result<Program> run();

 private:
  Result<NamedTensor> tensor_of(const Message& message);
  Result<RawGraph> graph_of(const Message& message);
  Result<std::shared_ptr<const Graph>> body(const Message& message, Scope& around,
                                            std::vector<ValueId>& captured);
  Status fill(Scope& scope, const RawGraph& raw);
  Status add_constants(Scope& scope, const RawGraph& raw);
  Status add_nodes(Scope& scope, const std::vector<RawNode>& nodes);
  Status add_node(Scope& scope, const RawNode& raw);
  Status add_call(Scope& scope, const RawNode& raw, const RawFunction& function);
  Status add_composed(Scope& scope, const RawNode& raw, const Node& node);
  Status add_constant_node(Scope& scope, const RawNode& raw);
  Status add_attribute(Scope& scope, Node& node, const RawAttribute& raw);
  Result<Attribute> attribute_value(const RawAttribute& raw);
  Result<ValueId> use(Scope& scope, std::string_view name);
  Result<ValueId> define(Scope& scope, std::string_view name);
  const RawFunction* function_of(const RawNode& raw) const;
  const RawAttribute* resolved(const Scope& scope, const RawAttribute& raw) const;

  std::shared_ptr<const MappedFile> file_;
  ExternalData external_;
  RawModel model_;
  std::uint64_t budget_;  // bytes of lists that may still be read, in ONNX Runtime's format
  std::size_t made_ = 0;
  std::set<std::string> unknown_;
};

ValueId new_value(Graph& graph, std::string_view name) {
  graph.values.push_back({std::string(name), Element::none, false, {}, Value::Kind::tensor});
  return static_cast<ValueId>(graph.values.size() - 1);
}

// A name of this scope, or of one around it, which then becomes a capture of every body between.
Result<ValueId> Importer::use(Scope& scope, std::string_view name) {
  if (name.empty()) return absent;
  if (const auto found = scope.names.find(name); found != scope.names.end()) return found->second;
  if (scope.outer == nullptr)
    return corrupt(fmt::format("value '{}': never written", printable(name)));
  const ValueId around = TRY(use(*scope.outer, name));
  const ValueId id = new_value(*scope.graph, name);
  scope.graph->values.back() = scope.outer->graph->values[static_cast<std::size_t>(around)];
  scope.graph->captures.push_back(id);
  scope.captured->push_back(around);
  scope.names.emplace(name, id);
  return id;
}

Result<ValueId> Importer::define(Scope& scope, std::string_view name) {
  if (name.empty()) return absent;
  const ValueId id = new_value(*scope.graph, name);
  if (!scope.names.emplace(name, id).second)
    return corrupt(fmt::format("value '{}': written twice", printable(name)));
  return id;
}

const RawFunction* Importer::function_of(const RawNode& raw) const {
  for (const RawFunction& function : model_.functions)
    if (function.name == raw.op_type && function.domain == raw.domain &&
        function.overload == raw.overload)
      return &function;
  return nullptr;
}

// What stands for an attribute: itself, or what the function's caller gave.  nullptr: nothing.
const RawAttribute* Importer::resolved(const Scope& scope, const RawAttribute& raw) const {
  if (raw.ref.empty()) return &raw;
  if (scope.given == nullptr) return nullptr;
  const auto found = scope.given->find(raw.ref);
  return found == scope.given->end() ? nullptr : found->second;
}

Result<NamedTensor> Importer::tensor_of(const Message& message) {
  if (message.is_table()) {
    constexpr unsigned elements = 4;
    const std::uint64_t size = TRY(message.table.bytes(elements)).size();
    if (size > budget_) return corrupt("tensors that share their bytes");
    budget_ -= size;
  }
  return read_tensor(message, file_, external_);
}

Result<Attribute> Importer::attribute_value(const RawAttribute& raw) {
  switch (raw.type) {
    case 1:
      return Attribute(static_cast<double>(raw.f));
    case 2:
      return Attribute(raw.i);
    case 3:
      return Attribute(std::string(raw.s));
    case 4:
      return Attribute(TRY(tensor_of(raw.tensor)).tensor);
    case 6:
      return Attribute(std::vector<double>(raw.floats.begin(), raw.floats.end()));
    case 7:
      return Attribute(raw.ints);
    case 8:
      return Attribute(std::vector<std::string>(raw.strings.begin(), raw.strings.end()));
    case 9: {
      std::vector<Tensor> tensors;
      for (const Message& each : raw.tensors) tensors.push_back(TRY(tensor_of(each)).tensor);
      return Attribute(std::move(tensors));
    }
    case 11:
      return Attribute(TRY(read_sparse(raw.sparse, file_, external_)).tensor);
    case 13:
      return Attribute(std::string());  // of a type: nothing that a run needs
    default:
      return Error(ErrorKind::unsupported,
                   fmt::format("attribute '{}' of type {}", printable(raw.name), raw.type));
  }
}

// Attributes that hold an element type are kept as our own numbers.
bool names_type(std::string_view name) {
  return name == "to" || name == "dtype" || name == "output_dtype" || name == "output_datatype" ||
         name == "softmax_precision" || name == "stash_type";
}

// Before version 6 Cast names its type in words.
std::int64_t type_in_words(std::string_view word) {
  constexpr std::string_view words[] = {"UNDEFINED", "FLOAT",  "UINT8",  "INT8",   "UINT16",
                                        "INT16",     "INT32",  "INT64",  "STRING", "BOOL",
                                        "FLOAT16",   "DOUBLE", "UINT32", "UINT64"};
  for (std::size_t i = 0; i < std::size(words); ++i)
    if (words[i] == word) return static_cast<std::int64_t>(i);
  return 0;
}

Status Importer::add_attribute(Scope& scope, Node& node, const RawAttribute& raw) {
  const RawAttribute* value = resolved(scope, raw);
  if (value == nullptr) return Done{};
  if (value->type == 5 || value->type == 10) {
    std::vector<Message> graphs = value->graphs;
    if (value->type == 5) graphs = {value->graph};
    for (const Message& graph : graphs) {
      node.bodies.push_back(TRY(body(graph, scope, node.captured)));
      node.body_names.emplace_back(raw.name);
    }
    return Done{};
  }
  Attribute attribute = TRY(attribute_value(*value));
  if (names_type(raw.name)) {
    std::int64_t number = 0;
    if (const auto* whole = std::get_if<std::int64_t>(&attribute)) number = *whole;
    if (const auto* word = std::get_if<std::string>(&attribute)) number = type_in_words(*word);
    attribute = static_cast<std::int64_t>(element_of(number));
  }
  node.attributes.insert_or_assign(std::string(raw.name), std::move(attribute));
  return Done{};
}

Status Importer::add_constant_node(Scope& scope, const RawNode& raw) {
  if (raw.outputs.size() != 1 || raw.attributes.empty())
    return corrupt("a Constant without a value");
  const RawAttribute* value = resolved(scope, raw.attributes[0]);
  if (value == nullptr) return corrupt("a Constant without a value");
  const ValueId id = TRY(define(scope, raw.outputs[0]));
  if (id == absent) return Done{};  // without a name nobody can read it
  Attribute attribute = TRY(attribute_value(*value));
  Tensor tensor;
  if (auto* held = std::get_if<Tensor>(&attribute)) {
    tensor = std::move(*held);
  } else if (const auto* whole = std::get_if<std::int64_t>(&attribute)) {
    tensor = TRY(make_tensor(Element::i64, {}));
    tensor.data<std::int64_t>()[0] = *whole;
  } else if (const auto* real = std::get_if<double>(&attribute)) {
    tensor = TRY(make_tensor(Element::f32, {}));
    tensor.data<float>()[0] = static_cast<float>(*real);
  } else if (const auto* text = std::get_if<std::string>(&attribute)) {
    tensor = TRY(make_tensor(Element::text, {}));
    tensor.data<const std::string*>()[0] = tensor.strings->add(*text);
  } else if (const auto* wholes = std::get_if<std::vector<std::int64_t>>(&attribute)) {
    tensor = TRY(make_tensor(Element::i64, {static_cast<std::int64_t>(wholes->size())}));
    std::ranges::copy(*wholes, tensor.data<std::int64_t>());
  } else if (const auto* reals = std::get_if<std::vector<double>>(&attribute)) {
    tensor = TRY(make_tensor(Element::f32, {static_cast<std::int64_t>(reals->size())}));
    store(Element::f32, tensor.bytes, Work::f64, reals->data(), reals->size());
  } else if (const auto* texts = std::get_if<std::vector<std::string>>(&attribute)) {
    tensor = TRY(make_tensor(Element::text, {static_cast<std::int64_t>(texts->size())}));
    for (std::size_t i = 0; i < texts->size(); ++i)
      tensor.data<const std::string*>()[i] = tensor.strings->add((*texts)[i]);
  }
  scope.graph->constants.push_back({id, Value(std::move(tensor))});
  return Done{};
}

// A function's nodes stand in place of its call.
Status Importer::add_call(Scope& scope, const RawNode& raw, const RawFunction& function) {
  if (scope.depth >= most_depth)
    return Error(ErrorKind::exhausted, fmt::format("functions nested {} deep", most_depth));
  if (raw.inputs.size() > function.inputs.size() || raw.outputs.size() > function.outputs.size())
    return corrupt(fmt::format("function '{}': {} inputs, {} outputs", printable(function.name),
                               raw.inputs.size(), raw.outputs.size()));
  Given given;
  for (const RawAttribute& attribute : function.defaults) given[attribute.name] = &attribute;
  for (const RawAttribute& attribute : raw.attributes)
    if (const RawAttribute* value = resolved(scope, attribute)) given[attribute.name] = value;
  Scope inside{scope.graph, {}, nullptr, nullptr, &function.versions, &given, scope.depth + 1};
  for (std::size_t i = 0; i < function.inputs.size(); ++i)
    inside.names[std::string(function.inputs[i])] =
        i < raw.inputs.size() ? TRY(use(scope, raw.inputs[i])) : absent;
  TRY(add_nodes(inside, function.nodes));
  for (std::size_t i = 0; i < raw.outputs.size(); ++i) {
    if (raw.outputs[i].empty()) continue;
    const ValueId id = TRY(use(inside, function.outputs[i]));
    if (!scope.names.emplace(raw.outputs[i], id).second)
      return corrupt(fmt::format("value '{}': written twice", printable(raw.outputs[i])));
  }
  return Done{};
}

// The name our table has for an operator that ONNX has renamed or that is another's alias.
std::string canonical(const RawNode& raw) {
  if (raw.domain.empty())
    return raw.op_type == "Scatter" ? "ScatterElements" : std::string(raw.op_type);
  return fmt::format("{}.{}", raw.domain, raw.op_type);
}

// The nodes that an operator of ONNX Runtime stands for, in its place.
Status Importer::add_composed(Scope& scope, const RawNode& raw, const Node& node) {
  Emitter b(*scope.graph);
  auto made = write_composed(b, {raw.op_type, node.inputs, node.attributes});
  if (!made)
    return std::move(made).error().within(
        fmt::format("{} '{}'", printable(raw.op_type), printable(raw.name)));
  for (std::size_t i = 0; i < raw.outputs.size(); ++i) {
    const ValueId id = TRY(define(scope, raw.outputs[i]));
    if (id == absent) continue;
    if (i >= made->size() || (*made)[i] == absent)
      return corrupt(fmt::format("{}: output {}", printable(raw.op_type), i));
    b.emit("Identity", {(*made)[i]});
    scope.graph->nodes.back().outputs = {id};
  }
  return Done{};
}

Status Importer::add_node(Scope& scope, const RawNode& raw) {
  if (++made_ > most_made)
    return Error(ErrorKind::exhausted, fmt::format("over {} nodes", most_made));
  if (const RawFunction* function = function_of(raw)) return add_call(scope, raw, *function);
  if (raw.domain.empty() && raw.op_type == "Constant") return add_constant_node(scope, raw);
  Node node;
  node.name = std::string(raw.name);
  const auto version = scope.versions->find(raw.domain);
  if (version != scope.versions->end())
    node.version = static_cast<int>(std::clamp<std::int64_t>(version->second, 0, newest_set));
  node.op = find_operator(canonical(raw));
  const bool composed = raw.domain == "com.microsoft" && is_composed(raw.op_type);
  if (node.op == nullptr && !composed) unknown_.insert(printable(canonical(raw)));
  for (const std::string_view name : raw.inputs) node.inputs.push_back(TRY(use(scope, name)));
  for (const RawAttribute& attribute : raw.attributes) {
    auto added = add_attribute(scope, node, attribute);
    if (!added)
      return std::move(added).error().within(
          fmt::format("{} '{}'", printable(raw.op_type), printable(raw.name)));
  }
  if (composed) return add_composed(scope, raw, node);
  for (const std::string_view name : raw.outputs) node.outputs.push_back(TRY(define(scope, name)));
  while (!node.inputs.empty() && node.inputs.back() == absent) node.inputs.pop_back();
  scope.graph->nodes.push_back(std::move(node));
  return Done{};
}

Status Importer::add_nodes(Scope& scope, const std::vector<RawNode>& nodes) {
  for (const RawNode& node : nodes) TRY(add_node(scope, node));
  return Done{};
}

Status Importer::add_constants(Scope& scope, const RawGraph& raw) {
  const auto add = [&](NamedTensor named) -> Status {
    const auto found = scope.names.find(named.name);  // an input's default
    const ValueId id = found != scope.names.end() ? found->second : TRY(define(scope, named.name));
    if (id == absent) return Done{};
    ValueInfo& info = scope.graph->values[static_cast<std::size_t>(id)];
    info.type = named.tensor.type;
    info.has_shape = true;
    info.shape.clear();
    for (const std::int64_t extent : named.tensor.dims) info.shape.push_back({extent, {}});
    scope.graph->constants.push_back({id, Value(std::move(named.tensor))});
    return Done{};
  };
  for (const Message& each : raw.initializers) TRY(add(TRY(tensor_of(each))));
  for (const Message& each : raw.sparse_initializers)
    TRY(add(TRY(read_sparse(each, file_, external_))));
  return Done{};
}

Status Importer::fill(Scope& scope, const RawGraph& raw) {
  scope.graph->name = std::string(raw.name);
  for (const ValueInfo& info : raw.inputs) {
    const ValueId id = TRY(define(scope, info.name));
    if (id == absent) return corrupt("an input without a name");
    scope.graph->values[static_cast<std::size_t>(id)] = info;
    scope.graph->inputs.push_back(id);
  }
  TRY(add_constants(scope, raw));
  TRY(add_nodes(scope, raw.nodes));
  for (const ValueInfo& info : raw.outputs) {
    const ValueId id = TRY(use(scope, info.name));
    if (id == absent) return corrupt("an output without a name");
    scope.graph->outputs.push_back(id);
  }
  // What the file says of values in between and of outputs.
  for (const auto* list : {&raw.infos, &raw.outputs})
    for (const ValueInfo& info : *list)
      if (const auto found = scope.names.find(info.name); found != scope.names.end()) {
        ValueInfo& known = scope.graph->values[static_cast<std::size_t>(found->second)];
        if (known.type == Element::none) known = info;
      }
  scope.graph->storage.push_back(file_);
  return Done{};
}

Result<RawGraph> Importer::graph_of(const Message& message) {
  return message.is_table() ? read_ort_graph(message.table, budget_) : read_graph(message.bytes);
}

Result<std::shared_ptr<const Graph>> Importer::body(const Message& message, Scope& around,
                                                    std::vector<ValueId>& captured) {
  if (around.depth >= most_depth)
    return Error(ErrorKind::exhausted, fmt::format("bodies nested {} deep", most_depth));
  const auto graph = std::make_shared<Graph>();
  Scope scope{graph.get(), {}, &around, &captured, around.versions, around.given, around.depth + 1};
  const RawGraph raw = TRY(graph_of(message));
  TRY(fill(scope, raw));
  if (unknown_.empty()) TRY(finish(*graph));
  return std::shared_ptr<const Graph>(graph);
}

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

Result<Program> Importer::run() {
  const bool is_ort = looks_like_ort(file_->bytes());
  model_ = is_ort ? TRY(read_ort_model(file_->bytes(), budget_)) : TRY(read_model(file_->bytes()));
  if (model_.versions.empty()) model_.versions[""] = 1;
  const auto graph = std::make_shared<Graph>();
  Scope scope{graph.get(), {}, nullptr, nullptr, &model_.versions, nullptr, 0};
  const RawGraph raw = TRY(graph_of(model_.graph));
  TRY(fill(scope, raw));
  if (!unknown_.empty())
    return Error(ErrorKind::unsupported,
                 fmt::format("operators that Hearth does not know: {}", joined(unknown_)));
  TRY(finish(*graph));
  Program program;
  program.format = is_ort ? "ort" : "onnx";
  program.producer =
      fmt::format("{}{}{}", model_.producer, model_.producer_version.empty() ? "" : " ",
                  model_.producer_version);
  program.format_version = model_.ir_version;
  for (const auto& [domain, version] : model_.versions) program.operator_sets[domain] = version;
  program.metadata = model_.metadata;
  program.description = std::string(model_.description);
  program.graph = graph;
  const auto version = model_.versions.find("");
  if (version != model_.versions.end() && version->second > newest_set)
    program.warnings.push_back(
        fmt::format("operator set {}: newer than {}, read as that", version->second, newest_set));
  return program;
}

// SequenceProto and OptionalProto: 1 name, 2 elem_type, then lists by type.
Result<Value> read_sequence(Bytes bytes, const std::shared_ptr<const void>& owner, int depth);

Result<Value> read_optional(Bytes bytes, const std::shared_ptr<const void>& owner, int depth) {
  ExternalData none{""};
  Value value;
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    if (f.number == 3) value = Value(TRY(read_tensor(f.bytes, owner, none)).tensor);
    if (f.number == 5) value = TRY(read_sequence(f.bytes, owner, depth + 1));
    if (f.number == 7) value = TRY(read_optional(f.bytes, owner, depth + 1));
    if (depth > most_depth) return corrupt("values nested too deep");
  }
  return value;
}

Result<Value> read_sequence(Bytes bytes, const std::shared_ptr<const void>& owner, int depth) {
  ExternalData none{""};
  std::vector<Value> items;
  if (depth > most_depth) return corrupt("values nested too deep");
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    if (f.number == 3) items.emplace_back(TRY(read_tensor(f.bytes, owner, none)).tensor);
    if (f.number == 5) items.push_back(TRY(read_sequence(f.bytes, owner, depth + 1)));
    if (f.number == 7) items.push_back(TRY(read_optional(f.bytes, owner, depth + 1)));
  }
  return Value::sequence(std::move(items));
}

}  // namespace
}  // namespace onnx

Result<Program> import_onnx(std::shared_ptr<const MappedFile> file, const std::string& folder) {
  return onnx::Importer(std::move(file), folder).run();
}

bool looks_like_ort(std::span<const std::byte> bytes) {
  return bytes.size() >= 8 && text_of(bytes.subspan(4, 4)) == "ORTM";
}

bool looks_like_onnx(std::span<const std::byte> bytes) {
  WireMessage in(bytes.first(std::min<std::size_t>(bytes.size(), 1 << 12)));
  bool has_version = false;
  for (WireField field;;) {
    const auto more = in.next(field);
    if (!more || !*more) return has_version;
    if (field.number == 1 && field.type == 0) has_version = field.value >= 1 && field.value < 1000;
    if (field.number == 0 || field.number > 26) return false;
    if (has_version && field.number != 1) return field.number <= 26;
  }
}

Result<Value> read_onnx_value(std::span<const std::byte> bytes, Value::Kind kind) {
  ExternalData none{""};
  // The caller's bytes may go away: nothing may point into them.
  const auto copy = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
  if (kind == Value::Kind::sequence) return onnx::read_sequence(*copy, copy, 0);
  if (kind == Value::Kind::nothing) return onnx::read_optional(*copy, copy, 0);
  return Value(TRY(onnx::read_tensor(onnx::Bytes(*copy), copy, none)).tensor);
}

}  // namespace hearth::graphs
