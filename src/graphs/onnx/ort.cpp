// ONNX models in ONNX Runtime's own format: the messages of ONNX as FlatBuffers.
// Source: ONNX Runtime, ort.fbs.
#include <fmt/core.h>

#include <algorithm>
#include <queue>
#include <unordered_map>

#include "base/utf8.h"
#include "graphs/onnx/proto.h"

namespace hearth::graphs::onnx {
namespace {

constexpr std::size_t most_nodes = 1u << 20;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// Lists of tables that count what they hold: several may lie in the same bytes.
class Reader {
 public:
  explicit Reader(std::uint64_t& budget) : budget_(budget) {}
  Result<std::vector<FlatTable>> tables(const FlatTable& of, unsigned slot) {
    auto list = TRY(of.tables(slot));
    TRY(charge(list.size() * sizeof(std::uint32_t)));
    return list;
  }
  Result<std::vector<std::string_view>> texts(const FlatTable& of, unsigned slot) {
    auto list = TRY(of.texts(slot));
    TRY(charge(list.size() * sizeof(std::uint32_t)));
    return list;
  }
  template <typename T>
  Result<std::vector<T>> numbers(const FlatTable& of, unsigned slot) {
    auto list = TRY(of.numbers<T>(slot));
    TRY(charge(list.size() * sizeof(T)));
    return list;
  }
  Status charge(std::uint64_t bytes) {
    if (bytes > budget_) return corrupt("lists that share their bytes");
    budget_ -= bytes;
    return Done{};
  }

 private:
  std::uint64_t& budget_;
};

// Shape: 0 extents {0 {0 kind, 1 number, 2 name}}.
Status read_shape(Reader& in, const FlatTable& shape, ValueInfo& info) {
  if (!shape.exists()) return Done{};
  info.has_shape = true;
  for (const FlatTable& dimension : TRY(in.tables(shape, 0))) {
    const FlatTable value = TRY(dimension.table(0));
    Extent extent;
    const auto number = value.exists() ? value.number<std::int64_t>(1, 0) : 0;
    const int kind = value.exists() ? value.number<std::int8_t>(0, 0) : 0;
    if (kind == 1 && number >= 0) extent.value = number;
    if (kind == 2) extent.name = TRY(value.text(2));
    info.shape.push_back(std::move(extent));
    if (info.shape.size() > max_rank) return corrupt(fmt::format("over {} axes", max_rank));
  }
  return Done{};
}

// ValueInfo: 0 name, 2 type {1 kind, 2 what: of a tensor 0 element, 1 shape}.
Result<ValueInfo> read_info(Reader& in, const FlatTable& table) {
  ValueInfo info;
  info.name = TRY(table.text(0));
  const FlatTable type = TRY(table.table(2));
  if (!type.exists()) return info;
  constexpr int tensor = 1, sequence = 2, map = 3;
  const int kind = type.number<std::uint8_t>(1, 0);
  const FlatTable what = TRY(type.table(2));
  if (kind == sequence) info.kind = Value::Kind::sequence;
  if (kind == map) info.kind = Value::Kind::map;
  if (kind != tensor || !what.exists()) return info;
  info.type = element_of(what.number<std::int32_t>(0, 0));
  TRY(read_shape(in, TRY(what.table(1)), info));
  return info;
}

// Attribute: 0 name, 2 type, 3 f, 4 i, 5 s, 6 t, 7 g, 8 floats, 9 ints, 10 strings, 11 tensors,
// 12 graphs.
Result<RawAttribute> read_attribute(Reader& in, const FlatTable& table) {
  RawAttribute a;
  a.name = TRY(table.text(0));
  a.type = table.number<std::int32_t>(2, 0);
  a.f = table.number<float>(3, 0);
  a.i = table.number<std::int64_t>(4, 0);
  a.s = TRY(table.text(5));
  a.tensor = TRY(table.table(6));
  a.graph = TRY(table.table(7));
  a.floats = TRY(in.numbers<float>(table, 8));
  a.ints = TRY(in.numbers<std::int64_t>(table, 9));
  a.strings = TRY(in.texts(table, 10));
  std::size_t copied = a.s.size();
  for (const std::string_view each : a.strings) copied += each.size();
  TRY(in.charge(copied));
  for (const FlatTable& each : TRY(in.tables(table, 11))) a.tensors.emplace_back(each);
  for (const FlatTable& each : TRY(in.tables(table, 12))) a.graphs.emplace_back(each);
  const bool lacks = (a.type == 4 && !a.tensor.is_table()) || (a.type == 5 && !a.graph.is_table());
  if (lacks)
    return corrupt(fmt::format("attribute '{}': without what it holds", printable(a.name)));
  return a;
}

// A node, and all that it reads: also what its bodies do of the values around them.
struct Entry {
  RawNode node;
  std::vector<std::string_view> reads;
};

// Node: 0 name, 2 domain, 5 operator, 8 inputs, 9 outputs, 10 attributes, 12 what bodies read.
Result<Entry> read_node(Reader& in, const FlatTable& table) {
  Entry entry;
  RawNode& node = entry.node;
  node.name = TRY(table.text(0));
  node.domain = TRY(table.text(2));
  if (node.domain == "ai.onnx") node.domain = "";
  node.op_type = TRY(table.text(5));
  node.inputs = TRY(in.texts(table, 8));
  node.outputs = TRY(in.texts(table, 9));
  for (const FlatTable& each : TRY(in.tables(table, 10)))
    node.attributes.push_back(TRY(read_attribute(in, each)));
  entry.reads = TRY(in.texts(table, 12));
  entry.reads.insert(entry.reads.end(), node.inputs.begin(), node.inputs.end());
  return entry;
}

// Nodes lie in the order of their making: in that order as far as each has what it reads.  Those of
// a circle come last.
std::vector<RawNode> in_order(std::vector<Entry> entries) {
  std::unordered_map<std::string_view, std::size_t> writers;
  for (std::size_t i = 0; i < entries.size(); ++i)
    for (const std::string_view name : entries[i].node.outputs)
      if (!name.empty()) writers.emplace(name, i);
  std::vector<std::size_t> lacks(entries.size(), 0);
  std::vector<std::vector<std::size_t>> readers(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i)
    for (const std::string_view name : entries[i].reads)
      if (const auto found = writers.find(name); found != writers.end() && !name.empty()) {
        ++lacks[i];
        readers[found->second].push_back(i);
      }
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready;
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (lacks[i] == 0) ready.push(i);
  std::vector<RawNode> nodes;
  for (; !ready.empty();) {
    const std::size_t i = ready.top();
    ready.pop();
    nodes.push_back(std::move(entries[i].node));
    for (const std::size_t reader : readers[i])
      if (--lacks[reader] == 0) ready.push(reader);
  }
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (lacks[i] > 0) nodes.push_back(std::move(entries[i].node));
  return nodes;
}

}  // namespace

// InferenceSession: 1 the model.  Model: 0 version, 1 operator sets {0 domain, 1 version},
// 2 and 3 producer, 5 its own version, 6 description, 7 graph, 9 metadata {0 key, 1 value}.
Result<RawModel> read_ort_model(Bytes bytes, std::uint64_t& budget) {
  Reader in(budget);
  const FlatTable session = TRY(FlatTable::root(bytes));
  const FlatTable table = TRY(session.table(1));
  if (!table.exists()) return corrupt("a session without a model");
  RawModel model;
  model.ir_version = table.number<std::int64_t>(0, 0);
  for (const FlatTable& set : TRY(in.tables(table, 1))) {
    const std::string_view domain = TRY(set.text(0));
    model.versions[domain == "ai.onnx" ? std::string() : std::string(domain)] =
        set.number<std::int64_t>(1, 0);
  }
  model.producer = TRY(table.text(2));
  model.producer_version = TRY(table.text(3));
  model.model_version = table.number<std::int64_t>(5, 0);
  model.description = TRY(table.text(6));
  for (const FlatTable& pair : TRY(in.tables(table, 9))) {
    const std::string_view key = TRY(pair.text(0)), value = TRY(pair.text(1));
    model.metadata.emplace(key, value);
  }
  const FlatTable graph = TRY(table.table(7));
  if (!graph.exists()) return corrupt("an ONNX model without a graph");
  model.graph = graph;
  model.has_graph = true;
  return model;
}

// Graph: 0 initializers, 1 what is known of values, 2 nodes, 5 inputs, 6 outputs, 7 sparse
// initializers.
Result<RawGraph> read_ort_graph(const FlatTable& table, std::uint64_t& budget) {
  Reader in(budget);
  RawGraph graph;
  for (const FlatTable& each : TRY(in.tables(table, 0))) graph.initializers.emplace_back(each);
  for (const FlatTable& each : TRY(in.tables(table, 7)))
    graph.sparse_initializers.emplace_back(each);
  std::unordered_map<std::string_view, ValueInfo> known;
  for (const FlatTable& each : TRY(in.tables(table, 1))) {
    ValueInfo info = TRY(read_info(in, each));
    known.emplace(TRY(each.text(0)), info);
    graph.infos.push_back(std::move(info));
  }
  const auto described = [&](std::string_view name) {
    const auto found = known.find(name);
    if (found != known.end()) return found->second;
    ValueInfo info;
    info.name = name;
    return info;
  };
  for (const std::string_view name : TRY(in.texts(table, 5)))
    graph.inputs.push_back(described(name));
  for (const std::string_view name : TRY(in.texts(table, 6)))
    graph.outputs.push_back(described(name));
  std::vector<Entry> entries;
  const auto nodes = TRY(in.tables(table, 2));
  if (nodes.size() > most_nodes)
    return Error(ErrorKind::exhausted, fmt::format("over {} nodes", most_nodes));
  for (const FlatTable& each : nodes) entries.push_back(TRY(read_node(in, each)));
  graph.nodes = in_order(std::move(entries));
  return graph;
}

}  // namespace hearth::graphs::onnx
