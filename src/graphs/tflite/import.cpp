// Source: TFLite, schema.fbs (version 3).
#include "graphs/tflite/import.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/utf8.h"
#include "graphs/tflite/model.h"

namespace hearth::graphs {
namespace tflite {
namespace {

constexpr std::size_t most_operators = 1u << 20;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

Result<Codes> read_codes(const FlatTable& model) {
  Codes codes;
  for (const FlatTable& code : TRY(model.tables(1))) {
    codes.builtin.push_back(
        std::max<int>(code.number<std::int8_t>(0, 0), code.number<std::int32_t>(3, 0)));
    codes.custom.push_back(printable(TRY(code.text(1))));
  }
  return codes;
}

// Graphs within the graph of one that cannot run are not looked at.
Status add(Model& model, Builder& b, const Operator& op, bool is_hopeless) {
  if (TRY(add_resource(model, b, op))) return Done{};
  if (!is_hopeless && TRY(add_flow(model, b, op))) return Done{};
  if (!is_hopeless && TRY(add_folding(model, b, op))) return Done{};
  return add_operator(b, op);
}

}  // namespace

Status read_operators(Model& model, Builder& b, const FlatTable& subgraph) {
  constexpr int custom = 32, custom_call = 173;
  std::set<std::string> unknown;
  const auto operators = TRY(subgraph.tables(3));
  model.operators += operators.size();
  if (model.operators > most_operators)
    return Error(ErrorKind::exhausted, fmt::format("{} operators", model.operators));
  for (const FlatTable& table : operators) {
    Operator op;
    const auto index = table.number<std::uint32_t>(0, 0);
    if (index >= model.codes.builtin.size()) return corrupt(fmt::format("operator code {}", index));
    op.code = model.codes.builtin[index];
    op.inputs = TRY(table.numbers<std::int32_t>(1));
    op.outputs = TRY(table.numbers<std::int32_t>(2));
    op.options = TRY(table.table(4));
    op.more_options = TRY(table.table(12));
    op.custom = model.codes.custom[index];
    op.custom_options = TRY(table.bytes(5));
    std::string name =
        op.code == custom ? "CUSTOM " + op.custom : std::string(operator_name(op.code));
    if (op.code == custom_call)  // its target
      name += " '" + printable(TRY(op.more_options.text(0))) + "'";
    auto added = add(model, b, op, !unknown.empty());
    if (added) continue;
    if (added.error().kind() == ErrorKind::unsupported && added.error().message().empty())
      unknown.insert(name);
    else if (unknown.empty())  // otherwise it may only lack what an unknown one would have given
      return std::move(added).error().within(name);
  }
  if (unknown.empty()) return Done{};
  std::string all;
  for (const std::string& name : unknown) all += (all.empty() ? "" : ", ") + name;
  return Error(ErrorKind::unsupported, fmt::format("operators that Hearth does not know: {}", all));
}

namespace {

// What a signature calls the tensors of its graph.
struct Signature {
  std::string key;
  std::size_t subgraph = 0;
  std::map<std::int64_t, std::string> inputs, outputs;  // by place of the tensor
};

Result<std::vector<Signature>> read_signatures(const FlatTable& model) {
  std::vector<Signature> all;
  for (const FlatTable& table : TRY(model.tables(7))) {
    Signature one;
    one.key = printable(TRY(table.text(2)), 256);
    one.subgraph = table.number<std::uint32_t>(4, 0);
    for (const bool is_input : {true, false})
      for (const FlatTable& map : TRY(table.tables(is_input ? 0 : 1)))
        (is_input ? one.inputs : one.outputs)
            .emplace(map.number<std::uint32_t>(1, 0), printable(TRY(map.text(0)), 256));
    all.push_back(std::move(one));
  }
  return all;
}

std::string keys_of(const std::vector<Signature>& signatures) {
  std::string keys;
  for (const Signature& each : signatures) keys += (keys.empty() ? "" : ", ") + each.key;
  return keys;
}

// A value that stays is an input that begins as the file says, and an output of the same name.
void add_state(Builder& b, Kept& state, std::string& names) {
  ValueInfo info{state.name, state.first.type, true, {}, Value::Kind::tensor};
  for (const std::int64_t extent : state.first.dims) info.shape.push_back({extent, {}});
  b.graph.values[static_cast<std::size_t>(state.input)] = info;
  b.graph.constants.push_back({state.input, Value(std::move(state.first))});
  if (state.now == state.input) return;  // nothing writes it
  b.graph.inputs.push_back(state.input);
  const ValueId out = b.emit("Identity", {state.now});
  b.graph.values[static_cast<std::size_t>(out)] = std::move(info);
  b.graph.outputs.push_back(out);
  names += (names.empty() ? "" : ", ") + state.name;
}

Status add_states(Model& model, Builder& b, const std::vector<ValueId>& first_states,
                  std::string& names) {
  for (std::size_t i = 0; i < model.variables.size(); ++i) {
    Variable& variable = model.variables[i];
    if (!variable.is_used) continue;
    if (!variable.first)
      return Error(ErrorKind::unsupported,
                   fmt::format("variable '{}': of unknown shape", variable.name));
    b.kept->push_back({variable.name, *variable.first, first_states[i], b.states[i]});
  }
  std::map<std::string, int> seen;
  for (Kept& state : *b.kept) {
    const int times = seen[state.name]++;
    if (times > 0) state.name += fmt::format("_{}", times);
    add_state(b, state, names);
  }
  return Done{};
}

// The graph of a method, its inputs and outputs by the names that the method gives them.
Status read_graph(Model& model, const Signature& method, Graph& graph, std::string& states) {
  if (method.subgraph >= model.subgraphs.size())
    return corrupt(fmt::format("graph {}", method.subgraph));
  const FlatTable& subgraph = model.subgraphs[method.subgraph];
  graph.name = printable(TRY(subgraph.text(4)));
  Builder b(graph);
  std::vector<Kept> kept;
  b.kept = &kept;
  for (std::size_t i = 0; i < model.variables.size(); ++i) b.states.push_back(b.new_value());
  const std::vector<ValueId> first_states = b.states;
  TRY(read_tensors(model, b, subgraph));
  for (const std::int32_t index : TRY(subgraph.numbers<std::int32_t>(1))) {
    TRY(b.info(index));
    const ValueId id = b.new_value();
    TRY(b.give_raw(index, id));
    if (const auto found = method.inputs.find(index); found != method.inputs.end())
      graph.values.back().name = found->second;
    graph.inputs.push_back(id);
  }
  TRY(read_operators(model, b, subgraph));
  for (const std::int32_t index : TRY(subgraph.numbers<std::int32_t>(2))) {
    ValueId id = TRY(b.raw(index));
    if (const auto found = method.outputs.find(index); found != method.outputs.end()) {
      ValueInfo info = graph.values[static_cast<std::size_t>(id)];
      id = b.emit("Identity", {id});
      info.name = found->second;
      graph.values[static_cast<std::size_t>(id)] = std::move(info);
    }
    graph.outputs.push_back(id);
  }
  TRY(add_states(model, b, first_states, states));
  return finish(graph);
}

Result<Program> read_program(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                             const std::string& method) {
  const FlatTable root = TRY(FlatTable::root(bytes));
  auto subgraphs = TRY(root.tables(2));
  auto buffers = TRY(root.tables(4));
  auto codes = TRY(read_codes(root));
  Model model{
      bytes, std::move(owner), std::move(subgraphs), {bytes, std::move(buffers)}, std::move(codes)};
  if (model.subgraphs.empty()) return corrupt("a model without a graph");
  const std::vector<Signature> signatures = TRY(read_signatures(root));
  Signature chosen;  // the first graph, its tensors by their own names
  if (!method.empty()) {
    const auto found = std::ranges::find(signatures, method, &Signature::key);
    if (found == signatures.end())
      return Error(ErrorKind::not_found,
                   fmt::format("no method '{}'; there are {}", method,
                               signatures.empty() ? "none" : keys_of(signatures)));
    chosen = *found;
  }
  const auto graph = std::make_shared<Graph>();
  graph->storage.push_back(model.owner);
  TRY(find_variables(model));
  std::string states;
  TRY(read_graph(model, chosen, *graph, states));
  Program program;
  if (!states.empty()) program.metadata["states"] = states;
  program.format = "tflite";
  program.format_version = root.number<std::uint32_t>(0, 0);
  program.description = printable(TRY(root.text(3)), 1024);
  program.graph = graph;
  if (auto read = read_metadata(root, model, program); !read)
    program.warnings.push_back(fmt::format("metadata: {}", read.error().message()));
  if (!signatures.empty()) program.metadata["methods"] = keys_of(signatures);
  if (model.subgraphs.size() > 1 && method.empty() && signatures.size() > 1)
    program.warnings.push_back(fmt::format("{} graphs; the first is read (--method names another)",
                                           model.subgraphs.size()));
  return program;
}

}  // namespace
}  // namespace tflite

Result<Program> import_tflite(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                              const std::string& method) {
  return tflite::read_program(bytes, std::move(owner), method);
}

Result<std::vector<std::string>> tflite_methods(std::span<const std::byte> bytes) {
  std::vector<std::string> keys;
  for (tflite::Signature& each : TRY(tflite::read_signatures(TRY(FlatTable::root(bytes)))))
    keys.push_back(std::move(each.key));
  return keys;
}

bool looks_like_tflite(std::span<const std::byte> bytes) {
  return bytes.size() > 8 && std::memcmp(bytes.data() + 4, "TFL3", 4) == 0;
}

}  // namespace hearth::graphs
