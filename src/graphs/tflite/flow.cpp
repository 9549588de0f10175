// Subgraphs within subgraphs: branches, loops, calls and composites.
// Source: TFLite, schema.fbs and the comments of its operator definitions.
#include <fmt/core.h>

#include <exception>

#include "graphs/executor.h"
#include "graphs/tflite/model.h"

namespace hearth::graphs::tflite {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// A subgraph, its tensors read into a builder.
struct Inner {
  const FlatTable* subgraph;
  std::vector<std::int32_t> inputs, outputs;
  Builder b;
};

Result<Inner> opened(const Model& model, Graph& graph, std::int64_t index, std::size_t inputs) {
  if (index < 0 || static_cast<std::size_t>(index) >= model.subgraphs.size())
    return corrupt(fmt::format("graph {} of {}", index, model.subgraphs.size()));
  const FlatTable& subgraph = model.subgraphs[static_cast<std::size_t>(index)];
  auto given = TRY(subgraph.numbers<std::int32_t>(1));
  auto made = TRY(subgraph.numbers<std::int32_t>(2));
  Inner inner{&subgraph, std::move(given), std::move(made), Builder(graph)};
  if (inner.inputs.size() != inputs)
    return corrupt(
        fmt::format("graph {}: {} inputs, given {}", index, inner.inputs.size(), inputs));
  return inner;
}

Status read_body(Model& model, Inner& inner) {
  if (model.depth >= most_depth)
    return Error(ErrorKind::exhausted, fmt::format("graphs nested {} deep", most_depth));
  model.operators += inner.b.tensors.size() + 1;  // a graph is not free to name again and again
  ++model.depth;
  auto done = read_operators(model, inner.b, *inner.subgraph);
  --model.depth;
  return done;
}

// What both sides know of a tensor beside its value: a name of a variable or table.
void pass_handles(TensorInfo& to, const TensorInfo& from) {
  to.variable = from.variable;
  to.table = from.table;
}

// The subgraph's nodes in the graph of b, in the place of an operator; the values it gives.
Result<std::vector<ValueId>> written_out(Model& model, Builder& b, std::int64_t index,
                                         const std::vector<ValueId>& inputs,
                                         const std::vector<const TensorInfo*>& given) {
  Inner inner = TRY(opened(model, b.graph, index, inputs.size()));
  inner.b.states = b.states;
  inner.b.kept = b.kept;
  TRY(read_tensors(model, inner.b, *inner.subgraph));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    TensorInfo* t = TRY(inner.b.info(inner.inputs[i]));
    t->id = inputs[i];
    if (given[i] == nullptr) continue;
    t->constant = given[i]->constant;
    pass_handles(*t, *given[i]);
  }
  TRY(read_body(model, inner));
  b.states = inner.b.states;
  std::vector<ValueId> outputs;
  for (const std::int32_t each : inner.outputs) outputs.push_back(TRY(inner.b.raw(each)));
  return outputs;
}

// The values of an operator's inputs; `absent` for those that name a variable or table.
Status operands(Builder& b, const Operator& op, std::size_t first, std::vector<ValueId>& ids,
                std::vector<const TensorInfo*>& infos) {
  for (std::size_t i = first; i < op.inputs.size(); ++i) {
    const TensorInfo* t = TRY(b.info(op.inputs[i]));
    infos.push_back(t);
    ids.push_back(t->is_handle() ? absent : TRY(b.raw(op.inputs[i])));
  }
  return Done{};
}

Status call(Model& model, Builder& b, const Operator& op, std::int64_t index) {
  std::vector<ValueId> ids;
  std::vector<const TensorInfo*> infos;
  TRY(operands(b, op, 0, ids, infos));
  const auto outputs = TRY(written_out(model, b, index, ids, infos));
  if (outputs.size() != op.outputs.size())
    return corrupt(fmt::format("graph {}: other outputs than its operator", index));
  for (std::size_t i = 0; i < outputs.size(); ++i)
    TRY(b.give_raw(op.outputs[i], b.emit("Identity", {outputs[i]})));
  return Done{};
}

// The outputs of an If or Loop: those of the operator, then what variables hold now.
Status take_outputs(Builder& b, const Operator& op, const std::vector<ValueId>& made) {
  for (std::size_t i = 0; i < op.outputs.size(); ++i) {
    const bool is_handle = TRY(b.info(op.outputs[i]))->is_handle();
    if (!is_handle) TRY(b.give_raw(op.outputs[i], made[i]));
  }
  for (std::size_t i = 0, at = op.outputs.size(); i < b.states.size(); ++i)
    if (b.states[i] != absent) b.states[i] = made[at++];
  return Done{};
}

// One side of an If: a graph that sees the values around it.
struct Branch {
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  std::vector<ValueId> captured;

  ValueId capture(Emitter& b, ValueId outer) {
    const ValueId id = b.new_value();
    graph->captures.push_back(id);
    captured.push_back(outer);
    return id;
  }
};

Result<Branch> branch(Model& model, Builder& b, const Operator& op, std::int64_t index) {
  Branch made;
  std::vector<ValueId> ids;
  std::vector<const TensorInfo*> infos;
  TRY(operands(b, op, 1, ids, infos));
  Builder own(*made.graph);
  for (ValueId& id : ids)
    if (id != absent) id = made.capture(own, id);
  for (const ValueId state : b.states)
    own.states.push_back(state == absent ? absent : made.capture(own, state));
  const auto outputs = TRY(written_out(model, own, index, ids, infos));
  if (outputs.size() != op.outputs.size())
    return corrupt(fmt::format("graph {}: other outputs than its operator", index));
  for (const ValueId id : outputs) made.graph->outputs.push_back(own.emit("Identity", {id}));
  for (const ValueId id : own.states)
    if (id != absent) made.graph->outputs.push_back(own.emit("Identity", {id}));
  TRY(finish(*made.graph));
  return made;
}

// What an If of both gives.
std::vector<ValueId> emit_choice(Builder& b, ValueId condition, const Branch& first,
                                 const Branch& second) {
  auto made = b.emit_many("If", {condition}, first.graph->outputs.size());
  Node& node = b.graph.nodes.back();
  node.bodies = {first.graph, second.graph};
  node.body_names = {"then_branch", "else_branch"};
  node.captured = first.captured;
  node.captured.insert(node.captured.end(), second.captured.begin(), second.captured.end());
  return made;
}

Status choose(Model& model, Builder& b, const Operator& op) {
  if (op.inputs.empty()) return corrupt("no condition");
  const ValueId condition = TRY(b.raw(op.inputs[0]));
  const Branch first = TRY(branch(model, b, op, op.options.number<std::int32_t>(0, -1)));
  const Branch second = TRY(branch(model, b, op, op.options.number<std::int32_t>(1, -1)));
  return take_outputs(b, op, emit_choice(b, condition, first, second));
}

Result<ValueId> is_case(Builder& b, const Operator& op, std::int64_t number) {
  const ValueId index = b.emit("Reshape", {TRY(b.raw(op.inputs[0])), b.integers({})});
  return b.emit("Equal", {b.cast(index, Element::i64), b.integer(number)});
}

// The graphs of a case from `number` on; the last one is that of every other number too.
Result<Branch> cases_from(Model& model, Builder& b, const Operator& op,
                          std::span<const std::int32_t> graphs, std::int64_t number) {
  if (graphs.size() == 1) return branch(model, b, op, graphs[0]);
  Branch made;
  Builder own(*made.graph);
  own.tensors = b.tensors;
  for (const std::int32_t input : op.inputs) {
    const ValueId outer = TRY(b.raw(input));
    TensorInfo* t = TRY(own.info(input));
    t->id = made.capture(own, outer);
    t->real = absent;
  }
  for (const ValueId state : b.states)
    own.states.push_back(state == absent ? absent : made.capture(own, state));
  const Branch first = TRY(branch(model, own, op, graphs[0])),
               rest = TRY(cases_from(model, own, op, graphs.subspan(1), number + 1));
  const ValueId chosen = TRY(is_case(own, op, number));
  for (const ValueId id : emit_choice(own, chosen, first, rest))
    made.graph->outputs.push_back(own.emit("Identity", {id}));
  TRY(finish(*made.graph));
  return made;
}

// A number, then what every graph is given.
Status choose_case(Model& model, Builder& b, const Operator& op) {
  const auto graphs = TRY(op.more_options.numbers<std::int32_t>(0));
  if (op.inputs.empty() || graphs.empty()) return corrupt("no number or no graph");
  if (graphs.size() > most_depth)
    return Error(ErrorKind::exhausted, fmt::format("{} graphs of a case", graphs.size()));
  for (const std::int32_t input : op.inputs)
    if (TRY(b.info(input))->is_handle())
      return Error(ErrorKind::unsupported, "variables that a case is given by name");
  const Branch first = TRY(branch(model, b, op, graphs[0]));
  if (graphs.size() == 1)
    return take_outputs(b, op, emit_choice(b, TRY(is_case(b, op, 0)), first, first));
  const Branch rest = TRY(cases_from(model, b, op, std::span(graphs).subspan(1), 1));
  return take_outputs(b, op, emit_choice(b, TRY(is_case(b, op, 0)), first, rest));
}

// The condition is tested before each turn: once outside, and at the end of the body.
Status repeat(Model& model, Builder& b, const Operator& op, const FlatTable& options) {
  if (model.runs_now) return Error(ErrorKind::unsupported, "a loop in what is done once");
  const std::int64_t test = options.number<std::int32_t>(0, -1),
                     body = options.number<std::int32_t>(1, -1);
  std::vector<ValueId> ids;
  std::vector<const TensorInfo*> infos, handles;
  TRY(operands(b, op, 0, ids, infos));
  if (op.outputs.size() != ids.size()) return corrupt("other outputs than inputs");
  // Within the loop only handles stay as they are: the rest changes from turn to turn.
  for (std::size_t i = 0; i < ids.size(); ++i) {
    handles.push_back(infos[i]->is_handle() ? infos[i] : nullptr);
    if (infos[i]->is_handle()) pass_handles(*TRY(b.info(op.outputs[i])), *infos[i]);
  }
  const auto goes_on = [&](Builder& at, const std::vector<ValueId>& values) -> Result<ValueId> {
    const auto answers = TRY(written_out(model, at, test, values, handles));
    if (answers.size() != 1) return corrupt(fmt::format("graph {}: is no test", test));
    return answers[0];
  };
  std::vector<ValueId> inputs{absent, TRY(goes_on(b, ids))};
  const auto graph = std::make_shared<Graph>();
  Builder own(*graph);
  graph->inputs = {own.new_value(), own.new_value()};
  const auto carry = [&](ValueId outer) {
    if (outer == absent) return absent;
    inputs.push_back(outer);
    graph->inputs.push_back(own.new_value());
    return graph->inputs.back();
  };
  std::vector<ValueId> values;
  for (const ValueId id : ids) values.push_back(carry(id));
  for (const ValueId state : b.states) own.states.push_back(carry(state));
  values = TRY(written_out(model, own, body, values, handles));
  if (values.size() != ids.size())
    return corrupt(fmt::format("graph {}: other outputs than inputs", body));
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] == absent) values[i] = absent;
  graph->outputs.push_back(own.emit("Identity", {TRY(goes_on(own, values))}));
  for (const auto* list : {&values, &own.states})
    for (const ValueId id : *list)
      if (id != absent) graph->outputs.push_back(own.emit("Identity", {id}));
  TRY(finish(*graph));
  const auto made = b.emit_many("Loop", inputs, inputs.size() - 2);
  b.graph.nodes.back().bodies = {graph};
  b.graph.nodes.back().body_names = {"body"};
  std::vector<ValueId> results;
  std::size_t at = 0;
  for (const ValueId id : ids) results.push_back(id == absent ? absent : made[at++]);
  results.insert(results.end(), made.begin() + static_cast<std::ptrdiff_t>(at), made.end());
  return take_outputs(b, op, results);
}

Result<std::vector<Value>> computed(Machine& machine, const Graph& graph) {
  try {
    return run_graph(machine, graph, {}, {});
  } catch (const std::exception& e) {  // memory, above all
    return Error(ErrorKind::exhausted, e.what());
  }
}

}  // namespace

Result<std::vector<ValueId>> add_lifted(Model& model, Builder& b, std::int64_t subgraph,
                                        const std::vector<ValueId>& inputs) {
  const std::size_t first = b.graph.nodes.size();
  auto outputs =
      TRY(written_out(model, b, subgraph, inputs, std::vector<const TensorInfo*>(inputs.size())));
  // The file says that they are scalars.
  for (std::size_t i = first; i < b.graph.nodes.size(); ++i)
    for (const ValueId id : b.graph.nodes[i].outputs)
      if (id != absent) b.graph.values[static_cast<std::size_t>(id)].has_shape = false;
  return outputs;
}

Status run_once(Model& model, std::int64_t subgraph) {
  Graph graph;
  Inner inner = TRY(opened(model, graph, subgraph, 0));
  inner.b.states.assign(model.variables.size(), absent);
  TRY(read_tensors(model, inner.b, *inner.subgraph));
  model.runs_now = true;
  auto done = read_body(model, inner);
  model.runs_now = false;
  if (!done) return std::move(done).error();
  std::vector<std::size_t> written;
  for (std::size_t i = 0; i < inner.b.states.size(); ++i) {
    if (inner.b.states[i] == absent) continue;
    graph.outputs.push_back(inner.b.emit("Identity", {inner.b.states[i]}));
    written.push_back(i);
  }
  TRY(finish(graph));
  Machine machine;
  constexpr std::uint64_t most_bytes = 1u << 30;
  machine.buffers = std::make_shared<BufferPool>();
  machine.buffers->limit(most_bytes);
  machine.strings = std::make_shared<StringPool>();
  const auto values = TRY(computed(machine, graph));
  for (std::size_t i = 0; i < written.size(); ++i)
    if (!model.variables[written[i]].first) model.variables[written[i]].first = values[i].tensor;
  return Done{};
}

Result<bool> add_flow(Model& model, Builder& b, const Operator& op) {
  switch (op.code) {
    case 31:
      TRY(call(model, b, op, op.options.number<std::uint32_t>(0, 0)));
      return true;
    case 118:
      TRY(choose(model, b, op));
      return true;
    case 119:
      TRY(repeat(model, b, op, op.options));
      return true;
    case 129:
      TRY(run_once(model, op.options.number<std::int32_t>(0, -1)));
      return true;
    case 200:
      TRY(repeat(model, b, op, op.more_options));
      return true;
    case 209:
      TRY(choose_case(model, b, op));
      return true;
    case 206:  // does what its decomposition does
      TRY(call(model, b, op, op.more_options.number<std::int32_t>(1, -1)));
      return true;
    default:
      return false;
  }
}

}  // namespace hearth::graphs::tflite
