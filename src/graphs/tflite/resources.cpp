// Variables and hash tables: what graphs of a file share under a name.
// Source: TFLite, schema.fbs and the comments of its operator definitions.
#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "graphs/call.h"
#include "graphs/tflite/model.h"

namespace hearth::graphs::tflite {
namespace {

constexpr int var_handle = 142;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

Result<std::string> name_of_variable(const FlatTable& options) {
  const std::string container = printable(TRY(options.text(0)), 256),
                    name = printable(TRY(options.text(1)), 256);
  return container.empty() ? name : container + "/" + name;
}

Result<std::int64_t> input(const Operator& op, std::size_t i) {
  if (i >= op.inputs.size()) return corrupt(fmt::format("no input {}", i));
  return op.inputs[i];
}
Result<TensorInfo*> output(Builder& b, const Operator& op) {
  if (op.outputs.empty()) return corrupt("no output");
  return TRY(b.info(op.outputs[0]));
}

Result<std::size_t> variable_of(Builder& b, const Operator& op) {
  const TensorInfo* t = TRY(b.info(TRY(input(op, 0))));
  if (t->variable < 0) return corrupt(fmt::format("tensor '{}': names no variable", t->name));
  return static_cast<std::size_t>(t->variable);
}

Status make_handle(Model& model, Builder& b, const Operator& op) {
  const std::string name = TRY(name_of_variable(op.options));
  const auto found = std::ranges::find(model.variables, name, &Variable::name);
  if (found == model.variables.end()) return corrupt(fmt::format("variable '{}'", name));
  TRY(output(b, op))->variable = found - model.variables.begin();
  return Done{};
}

// Before anything was assigned a variable holds zeros, where its reader knows its shape.
Status read_variable(Model& model, Builder& b, const Operator& op) {
  const std::size_t at = TRY(variable_of(b, op));
  Variable& variable = model.variables[at];
  const TensorInfo* y = TRY(output(b, op));
  if (b.states[at] == absent)
    return corrupt(fmt::format("variable '{}': read before it is written", variable.name));
  variable.is_used = true;
  if (!variable.first && y->is_known && y->type != Element::none) {
    variable.first = TRY(make_tensor(y->type, y->dims));
    if (y->type != Element::text)
      std::memset(variable.first->bytes, 0, variable.first->byte_count());
  }
  return b.give_raw(op.outputs[0], b.emit("Identity", {b.states[at]}));
}

Status assign_variable(Model& model, Builder& b, const Operator& op) {
  const std::size_t at = TRY(variable_of(b, op));
  model.variables[at].is_used = true;
  b.states[at] = b.emit("Identity", {TRY(b.raw(TRY(input(op, 1))))});
  return Done{};
}

Status make_table(Builder& b, const Operator& op) {
  TRY(output(b, op))->table = op.options.number<std::int32_t>(0, 0);
  return Done{};
}

Result<std::int64_t> table_of(Builder& b, const Operator& op) {
  const TensorInfo* t = TRY(b.info(TRY(input(op, 0))));
  if (t->table < 0) return corrupt(fmt::format("tensor '{}': names no hash table", t->name));
  return t->table;
}

Status fill_table(Model& model, Builder& b, const Operator& op) {
  const std::int64_t table = TRY(table_of(b, op));
  const TensorInfo *keys = TRY(b.info(TRY(input(op, 1)))), *values = TRY(b.info(TRY(input(op, 2))));
  if (!keys->constant || !values->constant)
    return Error(ErrorKind::unsupported, fmt::format("hash table {}: computed", table));
  if (keys->constant->count != values->constant->count)
    return corrupt(fmt::format("hash table {}: {} keys, {} values", table, keys->constant->count,
                               values->constant->count));
  model.hash_tables.try_emplace(table, HashTable{*keys->constant, *values->constant});
  return Done{};
}

Result<const HashTable*> filled_table(Model& model, Builder& b, const Operator& op) {
  const std::int64_t table = TRY(table_of(b, op));
  const auto found = model.hash_tables.find(table);
  if (found == model.hash_tables.end())
    return Error(ErrorKind::unsupported, fmt::format("hash table {}: nothing fills it", table));
  return &found->second;
}

Status look_up(Model& model, Builder& b, const Operator& op) {
  const HashTable* table = TRY(filled_table(model, b, op));
  const TensorInfo* fallback = TRY(b.info(TRY(input(op, 2))));
  const ValueId x = TRY(b.raw(TRY(input(op, 1))));
  if (!fallback->constant || fallback->constant->count != 1)
    return Error(ErrorKind::unsupported, "a default that is computed");
  TRY(output(b, op));
  return b.give_raw(op.outputs[0], b.emit("ai.onnx.ml.LabelEncoder", {x},
                                          {{"keys_tensor", table->keys},
                                           {"values_tensor", table->values},
                                           {"default_tensor", *fallback->constant}}));
}

Status table_size(Model& model, Builder& b, const Operator& op) {
  const HashTable* table = TRY(filled_table(model, b, op));
  TRY(output(b, op));
  Tensor size = TRY(make_tensor(Element::i64, {1}));
  size.data<std::int64_t>()[0] = table->keys.count;
  return b.give_raw(op.outputs[0], b.emit("Identity", {b.constant(std::move(size))}));
}

}  // namespace

Status find_variables(Model& model) {
  for (const FlatTable& subgraph : model.subgraphs)
    for (const FlatTable& table : TRY(subgraph.tables(3))) {
      const auto code = table.number<std::uint32_t>(0, 0);
      if (code >= model.codes.builtin.size() || model.codes.builtin[code] != var_handle) continue;
      const std::string name = TRY(name_of_variable(TRY(table.table(4))));
      if (std::ranges::find(model.variables, name, &Variable::name) != model.variables.end())
        continue;
      constexpr std::size_t most_variables = 4096;
      if (model.variables.size() == most_variables)
        return Error(ErrorKind::exhausted, fmt::format("over {} variables", most_variables));
      model.variables.push_back({name, {}, false});
    }
  return Done{};
}

Result<bool> add_resource(Model& model, Builder& b, const Operator& op) {
  switch (op.code) {
    case 136:
      TRY(make_table(b, op));
      return true;
    case 137:
      TRY(look_up(model, b, op));
      return true;
    case 138:
      TRY(fill_table(model, b, op));
      return true;
    case 139:
      TRY(table_size(model, b, op));
      return true;
    case var_handle:
      TRY(make_handle(model, b, op));
      return true;
    case 143:
      TRY(read_variable(model, b, op));
      return true;
    case 144:
      TRY(assign_variable(model, b, op));
      return true;
    default:
      return false;
  }
}

}  // namespace hearth::graphs::tflite
