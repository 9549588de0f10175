#include "graphs/coreml/mil.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/utf8.h"
#include "graphs/call.h"

namespace hearth::graphs::coreml {
namespace {

constexpr int most_depth = 24;               // of blocks within one another
constexpr std::size_t most_made = 1u << 20;  // operators

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// Argument: repeated Binding {1 name, 2 value}.
Result<std::vector<Binding>> read_argument(Bytes bytes) {
  std::vector<Binding> bindings;
  const Fields f = TRY(Fields::of(bytes));
  for (const Bytes each : f.messages(1)) {
    const Fields binding = TRY(Fields::of(each));
    bindings.push_back({binding.text(1), binding.bytes(2)});
    if (bindings.back().name.empty() && !binding.has(2)) return corrupt("an argument of nothing");
  }
  return bindings;
}

}  // namespace

Error computed(std::string_view what) {
  return Error(ErrorKind::unsupported,
               fmt::format("'{}': computed, where a constant is needed", what));
}

Result<MilOutput> read_named_type(Bytes bytes) {
  const Fields f = TRY(Fields::of(bytes));
  auto type = TRY(read_mil_type(f.bytes(2)));
  return MilOutput{std::string(f.text(1)), std::move(type)};
}

Result<RawOp> read_op(Bytes bytes) {
  RawOp op;
  const Fields f = TRY(Fields::of(bytes));
  op.type = f.text(1);
  for (const Bytes entry : f.messages(2)) {
    const Fields pair = TRY(Fields::of(entry));
    op.inputs[pair.text(1)] = TRY(read_argument(pair.bytes(2)));
  }
  for (const Bytes each : f.messages(3)) op.outputs.push_back(TRY(read_named_type(each)));
  op.blocks = f.messages(4);
  for (const Bytes entry : f.messages(5)) {
    const Fields pair = TRY(Fields::of(entry));
    op.attributes[pair.text(1)] = pair.bytes(2);
  }
  return op;
}

Result<Var*> Mil::use(Scope& scope, std::string_view name) {
  if (const auto found = scope.names.find(name); found != scope.names.end()) return &found->second;
  if (scope.outer == nullptr)
    return corrupt(fmt::format("value '{}': never written", printable(name)));
  Var* around = TRY(use(*scope.outer, name));
  if (scope.captured == nullptr) return around;
  Var mine = *around;
  mine.id = absent;
  if (!mine.constant) {
    if (!mine.state.empty()) return Error(ErrorKind::unsupported, "a state within a body");
    const ValueId id = TRY(id_of(*scope.outer, *around));
    mine.id = scope.b.new_value();
    scope.b.graph.values.back() = scope.outer->b.graph.values[static_cast<std::size_t>(id)];
    scope.b.graph.captures.push_back(mine.id);
    scope.captured->push_back(id);
  }
  return &scope.names.emplace(std::string(name), std::move(mine)).first->second;
}

Result<ValueId> Mil::id_of(Scope& scope, Var& var) {
  if (var.id == absent && var.constant) var.id = scope.b.constant(*var.constant);
  if (var.id == absent) return Error(ErrorKind::unsupported, "a state where a value is needed");
  return var.id;
}

Status Mil::define(Scope& scope, const std::string& name, Var var) {
  if (name.empty()) return corrupt("a value without a name");
  if (!scope.names.emplace(name, std::move(var)).second)
    return corrupt(fmt::format("value '{}': written twice", printable(name)));
  return Done{};
}

Status Mil::add_op(Scope& scope, Bytes bytes) {
  if (++made_ > most_made)
    return Error(ErrorKind::exhausted, fmt::format("over {} operators", most_made));
  const RawOp raw = TRY(read_op(bytes));
  const MilRow* row = find_mil(raw.type);
  if (row == nullptr) {
    unknown.insert(printable(raw.type));
    return Done{};
  }
  if (!unknown.empty()) return Done{};  // only to name the others too
  MilOp op{*this, scope, raw, scope.b, row->ours};
  auto added = row->add(op);
  if (!added)
    return std::move(added).error().within(fmt::format(
        "{} '{}'", raw.type, raw.outputs.empty() ? "" : printable(raw.outputs[0].name)));
  return Done{};
}

// Block: 1 inputs, 2 outputs, 3 operations.
Result<std::vector<Var*>> Mil::add_block(Scope& scope, Bytes block) {
  if (scope.depth > most_depth)
    return Error(ErrorKind::exhausted, fmt::format("blocks nested {} deep", most_depth));
  const Fields f = TRY(Fields::of(block));
  for (const Bytes op : f.messages(3)) TRY(add_op(scope, op));
  std::vector<Var*> outputs;
  if (!unknown.empty()) return outputs;
  for (const std::string_view name : f.texts(2)) outputs.push_back(TRY(use(scope, name)));
  return outputs;
}

Result<std::shared_ptr<const Graph>> Mil::body(Scope& around, Bytes block,
                                               std::vector<ValueId>& captured) {
  const auto graph = std::make_shared<Graph>();
  Scope scope{Emitter(*graph), {}, &around, &captured, around.depth + 1};
  const auto outputs = TRY(add_block(scope, block));
  for (Var* var : outputs) {
    // A value that the body only passes on must be its own.
    const ValueId id = TRY(id_of(scope, *var));
    graph->outputs.push_back(scope.b.emit("Identity", {id}));
  }
  if (unknown.empty()) TRY(finish(*graph));
  return std::shared_ptr<const Graph>(graph);
}

bool MilOp::has(std::string_view name) const {
  return op.inputs.contains(name) || op.attributes.contains(name);
}

std::size_t MilOp::count(std::string_view name) const {
  const auto found = op.inputs.find(name);
  return found == op.inputs.end() ? 0 : found->second.size();
}

Result<Var*> MilOp::var(std::string_view name, std::size_t i) {
  Bytes value;
  const auto found = op.inputs.find(name);
  if (found != op.inputs.end()) {
    if (i >= found->second.size()) return corrupt(fmt::format("no '{}'", name));
    const Binding& binding = found->second[i];
    if (!binding.name.empty()) return mil.use(scope, binding.name);
    value = binding.value;
  } else {
    const auto attribute = op.attributes.find(name);
    if (attribute == op.attributes.end()) return corrupt(fmt::format("no '{}'", name));
    value = attribute->second;
  }
  Literal literal = TRY(read_literal(value, mil.at.weights, mil.at.owner));
  // Under a name that no file's value can have.
  const std::string own = fmt::format("\n{}", scope.names.size());
  return &scope.names.emplace(own, Var{absent, literal.type, std::move(literal.tensor), {}})
              .first->second;
}

Result<ValueId> MilOp::in(std::string_view name, std::size_t i) {
  Var* found = TRY(var(name, i));
  // A value of the surrounding's graph stays there: its scope is found by its name.
  return mil.id_of(scope, *found);
}

Result<ValueId> MilOp::in_or_absent(std::string_view name) {
  if (!has(name)) return absent;
  return in(name);
}

Result<std::vector<ValueId>> MilOp::all(std::string_view name) {
  std::vector<ValueId> ids;
  for (std::size_t i = 0; i < count(name); ++i) ids.push_back(TRY(in(name, i)));
  if (ids.empty()) return corrupt(fmt::format("no '{}'", name));
  return ids;
}

Result<const MilType*> MilOp::type(std::string_view name) {
  const Var* found = TRY(var(name));
  return &found->type;
}

Result<Dims> MilOp::dims(std::string_view name) {
  const MilType* known = TRY(type(name));
  if (!known->has_rank)
    return Error(ErrorKind::unsupported, fmt::format("'{}': of no known rank", name));
  return known->dims;
}

Result<std::size_t> MilOp::rank(std::string_view name) { return TRY(dims(name)).size(); }

bool MilOp::is_constant(std::string_view name) {
  const auto found = var(name);
  return found.ok() && (*found)->constant.has_value();
}

Result<Tensor> MilOp::constant(std::string_view name) {
  const Var* found = TRY(var(name));
  if (!found->constant) return computed(name);
  return *found->constant;
}

Result<Ints> MilOp::ints(std::string_view name) {
  const Tensor tensor = TRY(constant(name));
  if (!is_integer(tensor.type) && tensor.type != Element::boolean)
    return corrupt(fmt::format("'{}': needs whole numbers", name));
  Ints numbers(static_cast<std::size_t>(tensor.count));
  load(Work::i64, numbers.data(), tensor.type, tensor.bytes, numbers.size());
  return numbers;
}

Result<Ints> MilOp::ints(std::string_view name, const Ints& fallback) {
  if (!has(name)) return fallback;
  return ints(name);
}

Result<std::int64_t> MilOp::integer(std::string_view name, std::int64_t fallback) {
  if (!has(name)) return fallback;
  const Ints numbers = TRY(ints(name));
  if (numbers.size() != 1) return corrupt(fmt::format("'{}': needs one number", name));
  return numbers[0];
}

Result<double> MilOp::real(std::string_view name, double fallback) {
  if (!has(name)) return fallback;
  const Tensor tensor = TRY(constant(name));
  if (tensor.count != 1 || tensor.type == Element::text)
    return corrupt(fmt::format("'{}': needs one number", name));
  double number;
  load(Work::f64, &number, tensor.type, tensor.bytes, 1);
  return number;
}

Result<bool> MilOp::flag(std::string_view name, bool fallback) {
  return TRY(integer(name, fallback ? 1 : 0)) != 0;
}

Result<std::string> MilOp::text(std::string_view name, std::string_view fallback) {
  if (!has(name)) return std::string(fallback);
  const Tensor tensor = TRY(constant(name));
  if (tensor.count != 1 || tensor.type != Element::text)
    return corrupt(fmt::format("'{}': needs a text", name));
  return std::string(tensor.text(0));
}

Result<std::int64_t> MilOp::axis(std::string_view name, std::int64_t fallback,
                                 std::string_view of) {
  const std::size_t axes = TRY(rank(of));
  const auto found = checked_axis(TRY(integer(name, fallback)), axes);
  if (!found) return corrupt(fmt::format("'{}': {}", name, found.error().message()));
  return static_cast<std::int64_t>(*found);
}

Status MilOp::give(std::size_t i, ValueId id) {
  if (i >= op.outputs.size()) return Done{};
  const MilOutput& output = op.outputs[i];
  ValueInfo& info = b.graph.values[static_cast<std::size_t>(id)];
  if (info.name.empty()) info = value_info(output.name, output.type);
  return mil.define(scope, output.name, Var{id, output.type, {}, {}});
}

Status MilOp::give_cast(std::size_t i, ValueId id) {
  if (i >= op.outputs.size()) return Done{};
  return give(i, b.cast(id, op.outputs[i].type.element));
}

Status MilOp::give_constant(std::size_t i, Tensor tensor) {
  if (i >= op.outputs.size()) return Done{};
  const MilOutput& output = op.outputs[i];
  MilType type = output.type;
  type.dims = tensor.dims;
  type.has_rank = true;
  return mil.define(scope, output.name, Var{absent, type, std::move(tensor), {}});
}

Result<ValueId> MilOp::int_list(std::string_view name) {
  if (is_constant(name)) return b.integers(TRY(ints(name)));
  const ValueId id = b.cast(TRY(in(name)), Element::i64);
  return b.emit("Reshape", {id, b.integers({-1})});
}

namespace {

using Families = std::array<std::span<const MilRow>, 8>;

// To add an operator: a row in its family's list.
Families families() {
  return {elementwise_rows(), shape_rows(),     indexing_rows(), layer_rows(),
          image_rows(),       recurrent_rows(), control_rows(),  compressed_rows()};
}

}  // namespace

const MilRow* find_mil(std::string_view name) {
  static const auto index = [] {
    std::unordered_map<std::string_view, const MilRow*> rows;
    for (const auto family : families())
      for (const MilRow& row : family) rows.emplace(row.name, &row);
    return rows;
  }();
  const auto found = index.find(name);
  return found == index.end() ? nullptr : found->second;
}

std::vector<std::string_view> mil_operators() {
  std::vector<std::string_view> names;
  for (const auto family : families())
    for (const MilRow& row : family) names.push_back(row.name);
  std::ranges::sort(names);
  return names;
}

namespace {

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// An input's value as the function takes it.
Status add_input(Mil& mil, Scope& scope, const MilOutput& input) {
  Assembly& at = mil.at;
  if (input.type.kind == Shape::state) {
    for (const State& state : at.states)
      if (state.name == input.name)
        return mil.define(scope, input.name, Var{absent, input.type, {}, input.name});
    return corrupt(fmt::format("state '{}': not described", printable(input.name)));
  }
  const ValueId id = TRY(at.feature(input.name, input.type.element));
  return mil.define(scope, input.name, Var{id, input.type, {}, {}});
}

// Function: 1 inputs, 2 opset, 3 block_specializations.
Status add_function(Mil& mil, const Model& model, const Fields& function) {
  Scope scope{Emitter(mil.at.b.graph), {}, nullptr, nullptr, 0};
  const std::string_view opset = function.text(2);
  Bytes block;
  bool found = false;
  for (const Bytes entry : function.messages(3)) {
    const Fields pair = TRY(Fields::of(entry));
    if (!found || pair.text(1) == opset) block = pair.bytes(2);
    found = true;
  }
  if (!found) return corrupt("a function without a block");
  for (const Bytes bytes : function.messages(1))
    TRY(add_input(mil, scope, TRY(read_named_type(bytes))));
  const auto outputs = TRY(mil.add_block(scope, block));
  if (!mil.unknown.empty())
    return Error(ErrorKind::unsupported,
                 fmt::format("operators that Hearth does not know: {}", joined(mil.unknown)));
  const Fields body = TRY(Fields::of(block));
  const auto names = body.texts(2);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Var& var = *outputs[i];
    const ValueId id = TRY(mil.id_of(scope, var));
    const Dims* dims = var.type.has_rank ? &var.type.dims : nullptr;
    mil.at.give(std::string(names[i]), scope.b.emit("Identity", {id}), var.type.element, dims);
    mil.at.b.graph.values.back().kind = value_info("", var.type).kind;
  }
  for (const FeatureDescription& output : model.description.outputs)
    TRY(mil.at.feature(output.name));
  return Done{};
}

}  // namespace

// Program: 1 version, 2 functions.
Status add_program(Assembly& at, const Model& model) {
  const Fields program = TRY(Fields::of(model.body));
  const std::string wanted = model.functions.empty() ? "main" : model.functions[0];
  const auto functions = program.messages(2);
  for (const Bytes entry : functions) {
    const Fields pair = TRY(Fields::of(entry));
    if (pair.text(1) != wanted && functions.size() > 1) continue;
    if (functions.size() > 1)
      at.warnings.push_back(
          fmt::format("{} functions; '{}' is read", functions.size(), printable(wanted)));
    Mil mil(at);
    return add_function(mil, model, TRY(pair.message(2)));
  }
  return corrupt(fmt::format("no function '{}'", printable(wanted)));
}

}  // namespace hearth::graphs::coreml
