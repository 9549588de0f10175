// Constants, branches, loops, lists and states.
// Source: Core ML Tools, MIL operator reference.
#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "graphs/coreml/mil.h"

namespace hearth::graphs::coreml {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

Status constant(MilOp& op) {
  if (op.op.outputs.empty()) return corrupt("no output");
  const auto value = op.op.attributes.find("val");
  if (value == op.op.attributes.end()) return corrupt("no 'val'");
  Literal literal = TRY(read_literal(value->second, op.mil.at.weights, op.mil.at.owner));
  return op.mil.define(op.scope, op.op.outputs[0].name,
                       Var{absent, literal.type, std::move(literal.tensor), {}});
}

Status cond(MilOp& op) {
  if (op.op.blocks.size() != 2) return corrupt("needs two blocks");
  ValueId chosen = TRY(op.in("pred"));
  if (TRY(op.type("pred"))->element != Element::boolean)
    chosen = op.b.cast(chosen, Element::boolean);
  std::vector<ValueId> captured;
  std::vector<std::shared_ptr<const Graph>> bodies;
  for (const Bytes block : op.op.blocks)
    bodies.push_back(TRY(op.mil.body(op.scope, block, captured)));
  if (!op.mil.unknown.empty()) return Done{};
  for (const auto& body : bodies)
    if (body->outputs.size() != op.op.outputs.size())
      return corrupt(fmt::format("a block of {} outputs", body->outputs.size()));
  const auto made = op.b.emit_many("If", {chosen}, op.op.outputs.size());
  Node& node = op.b.graph.nodes.back();
  node.bodies = std::move(bodies);
  node.body_names = {"then_branch", "else_branch"};
  node.captured = std::move(captured);
  for (std::size_t i = 0; i < made.size(); ++i) TRY(op.give(i, made[i]));
  return Done{};
}

// Adds a block to the graph of `around`, its inputs being `values`.
Result<std::vector<Var*>> add_inline(MilOp& op, Scope& inside, Bytes block,
                                     const std::vector<Var>& values) {
  const Fields f = TRY(Fields::of(block));
  const auto inputs = f.messages(1);
  if (inputs.size() != values.size())
    return corrupt(fmt::format("a block of {} inputs for {}", inputs.size(), values.size()));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Var var = values[i];
    const MilOutput input = TRY(read_named_type(inputs[i]));
    var.type = input.type;
    TRY(op.mil.define(inside, input.name, std::move(var)));
  }
  return op.mil.add_block(inside, block);
}

// The first of what a condition's block gives.
Result<ValueId> condition(MilOp& op, Scope& around, const std::vector<Var>& values) {
  Scope inside{Emitter(around.b.graph), {}, &around, nullptr, around.depth + 1};
  const auto outputs = TRY(add_inline(op, inside, op.op.blocks[0], values));
  if (!op.mil.unknown.empty()) return absent;
  if (outputs.size() != 1) return corrupt("a condition of other than one value");
  const ValueId id = TRY(op.mil.id_of(inside, *outputs[0]));
  return around.b.emit("Reshape", {around.b.cast(id, Element::boolean), around.b.integers({})});
}

// blocks: whether to go on, what a turn does.  Ours asks for the next turn at the end of one.
Status while_loop(MilOp& op) {
  if (op.op.blocks.size() != 2) return corrupt("needs two blocks");
  const std::size_t n = op.count("loop_vars");
  std::vector<Var> first;
  std::vector<ValueId> inputs{absent, absent};
  for (std::size_t i = 0; i < n; ++i) {
    inputs.push_back(TRY(op.in("loop_vars", i)));
    first.push_back(*TRY(op.var("loop_vars", i)));
    first.back().constant.reset();  // it changes
  }
  inputs[1] = TRY(condition(op, op.scope, first));
  const auto graph = std::make_shared<Graph>();
  std::vector<ValueId> captured;
  Scope inside{Emitter(*graph), {}, &op.scope, &captured, op.scope.depth + 1};
  graph->inputs = {inside.b.new_value(), inside.b.new_value()};
  std::vector<Var> carried = first;
  for (Var& var : carried) {
    var.id = inside.b.new_value();
    graph->values.back() = value_info("", var.type);
    graph->inputs.push_back(var.id);
  }
  const auto outputs = TRY(add_inline(op, inside, op.op.blocks[1], carried));
  if (!op.mil.unknown.empty()) return Done{};
  if (outputs.size() != n) return corrupt(fmt::format("a turn of {} values", outputs.size()));
  std::vector<Var> next;
  for (Var* var : outputs) {
    next.push_back(*var);
    next.back().id = inside.b.emit("Identity", {TRY(op.mil.id_of(inside, *var))});
    next.back().constant.reset();
  }
  graph->outputs.push_back(TRY(condition(op, inside, next)));
  if (!op.mil.unknown.empty()) return Done{};
  for (const Var& var : next) graph->outputs.push_back(var.id);
  TRY(finish(*graph));
  const auto made = op.b.emit_many("Loop", inputs, n);
  Node& node = op.b.graph.nodes.back();
  node.bodies = {graph};
  node.body_names = {"body"};
  node.captured = std::move(captured);
  for (std::size_t i = 0; i < n; ++i) TRY(op.give(i, made[i]));
  return Done{};
}

// As many tensors of zeros as it begins with; of no shape that is known, none.
Status make_list(MilOp& op) {
  const Element type = element_of(type_in_words(TRY(op.text("dtype", "fp32"))));
  if (type == Element::none || type == Element::text)
    return Error(ErrorKind::unsupported, "a list of other than numbers");
  Ints shape;
  bool is_known = op.has("elem_shape");
  for (std::size_t i = 0; i < op.count("elem_shape"); ++i) {
    const Var* var = TRY(op.var("elem_shape", i));
    if (!var->constant || !is_integer(var->constant->type)) {
      is_known = false;
      break;
    }
    std::vector<std::int64_t> some(static_cast<std::size_t>(var->constant->count));
    load(Work::i64, some.data(), var->constant->type, var->constant->bytes, some.size());
    shape.insert(shape.end(), some.begin(), some.end());
  }
  for (const std::int64_t extent : shape) is_known = is_known && extent >= 0;
  if (!is_known) return op.give(op.b.emit("SequenceEmpty", {}));
  const ValueId length =
      op.has("init_length") ? TRY(op.int_list("init_length")) : op.b.integers({1});
  const ValueId dims =
      op.b.emit("Concat", {length, op.b.integers(shape)}, {{"axis", std::int64_t{0}}});
  const ValueId zeros = op.b.emit("hearth.Fill", {dims, op.b.cast(op.b.scalar(0), type)});
  return op.give(op.b.emit("SplitToSequence", {zeros},
                           {{"axis", std::int64_t{0}}, {"keepdims", std::int64_t{0}}}));
}

Result<ValueId> place(MilOp& op) {
  return op.b.emit("Reshape", {TRY(op.in("index")), op.b.integers({})});
}

Status list_read(MilOp& op) {
  return op.give(op.b.emit("SequenceAt", {TRY(op.in("ls")), TRY(place(op))}));
}
Status list_write(MilOp& op) {
  return op.give(
      op.b.emit("hearth.ListWrite", {TRY(op.in("ls")), TRY(place(op)), TRY(op.in("value"))}));
}
Status list_scatter(MilOp& op) {
  const ValueId places = op.b.emit("Reshape", {TRY(op.in("indices")), op.b.integers({-1})});
  return op.give(op.b.emit("hearth.ListWrite", {TRY(op.in("ls")), places, TRY(op.in("value"))}));
}
Status list_gather(MilOp& op) {
  const ValueId all = op.b.emit("ConcatFromSequence", {TRY(op.in("ls"))},
                                {{"axis", std::int64_t{0}}, {"new_axis", std::int64_t{1}}});
  return op.give(op.b.emit("Gather", {all, TRY(op.in("indices"))}));
}
Status list_length(MilOp& op) {
  return op.give_cast(0, op.b.emit("SequenceLength", {TRY(op.in("ls"))}));
}

Result<State*> state_of(MilOp& op, std::string_view name) {
  const Var* var = TRY(op.var(name));
  for (State& state : op.mil.at.states)
    if (!var->state.empty() && state.name == var->state) return &state;
  return corrupt(fmt::format("'{}': no state", name));
}

Status read_state(MilOp& op) {
  const State* state = TRY(state_of(op, "input"));
  return op.give(op.b.emit("Identity", {state->current}));
}

// Its result is what the state holds now.
Status update_state(MilOp& op) {
  const bool is_dialect = op.op.type == "coreml_update_state";
  State* state = TRY(state_of(op, is_dialect ? "state" : "input"));
  const ValueId value = TRY(op.in(is_dialect ? "value" : "data"));
  state->current = value;
  state->is_written = true;
  return op.give(op.b.emit("Identity", {value}));
}

constexpr MilRow rows[] = {
    {"const", constant},
    {"cond", cond},
    {"while_loop", while_loop},
    {"make_list", make_list},
    {"list_read", list_read},
    {"list_write", list_write},
    {"list_scatter", list_scatter},
    {"list_gather", list_gather},
    {"list_length", list_length},
    {"read_state", read_state},
    {"write_state", update_state},
    {"coreml_update_state", update_state},
};

}  // namespace

std::span<const MilRow> control_rows() { return rows; }

}  // namespace hearth::graphs::coreml
