// Expressions.
#include <fmt/core.h>

#include "text/jinja/callables.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"
#include "text/jinja/printing.h"

namespace hearth::jinja {

Result<Value> Interpreter::evaluate(const Expression& node) {
  const Nest nest(*this);
  TRY(nest.check());
  TRY(spend(1));
  switch (node.kind) {
    case ExpressionKind::literal:
      return static_cast<const Literal&>(node).value;
    case ExpressionKind::name:
      return evaluate_name(static_cast<const Name&>(node));
    case ExpressionKind::items:
      return evaluate_items(static_cast<const ItemsLiteral&>(node));
    case ExpressionKind::dict:
      return evaluate_dict(static_cast<const DictLiteral&>(node));
    case ExpressionKind::chain:
      return evaluate_chain(static_cast<const Chain&>(node));
    case ExpressionKind::logic:
      return evaluate_logic(static_cast<const Logic&>(node));
    case ExpressionKind::negation:
      return Value::boolean(!truth(TRY(evaluate(*static_cast<const Negation&>(node).value))));
    case ExpressionKind::sign: {
      const auto& sign = static_cast<const Sign&>(node);
      return negate(*this, TRY(evaluate(*sign.value)), sign.minus);
    }
    case ExpressionKind::compare:
      return evaluate_compare(static_cast<const Compare&>(node));
    case ExpressionKind::concat:
      return evaluate_concat(static_cast<const Concat&>(node));
    case ExpressionKind::conditional:
      return evaluate_conditional(static_cast<const Conditional&>(node));
    case ExpressionKind::postfix: {
      const auto& postfix = static_cast<const Postfix&>(node);
      return evaluate_postfix(postfix, TRY(evaluate(*postfix.base)));
    }
    case ExpressionKind::attribute_target:
      break;
  }
  return error("a target where a value is needed");
}

Result<Value> Interpreter::evaluate_name(const Name& node) {
  const Value& value = slot(node.reference);
  return value.is_missing() ? absent_variable(name_of(node)) : value;
}

Result<Value> Interpreter::evaluate_items(const ItemsLiteral& node) {
  std::vector<Value> items;
  items.reserve(node.items.size());
  for (const Expression* item : node.items) items.push_back(TRY(evaluate(*item)));
  return node.is_tuple ? tuple(std::move(items)) : list(std::move(items));
}

Result<Value> Interpreter::evaluate_dict(const DictLiteral& node) {
  const auto made = make<Dict>();
  for (const auto& [key_node, value_node] : node.entries) {
    Value key = TRY(evaluate(*key_node));
    Value value = TRY(evaluate(*value_node));
    TRY(check_key(*this, key));
    made->set(std::move(key), std::move(value));
  }
  return dict(made);
}

Result<Value> Interpreter::evaluate_chain(const Chain& node) {
  Value left = TRY(evaluate(*node.first));
  for (const Operand& operand : node.rest) {
    const Value right = TRY(evaluate(*operand.value));
    left = TRY(arithmetic(*this, operand.op, left, right));
  }
  return left;
}

Result<Value> Interpreter::evaluate_logic(const Logic& node) {
  Value value;
  for (const Expression* part : node.parts) {
    value = TRY(evaluate(*part));
    if (truth(value) == node.is_or) break;
  }
  return value;
}

Result<Value> Interpreter::evaluate_compare(const Compare& node) {
  Value left = TRY(evaluate(*node.first));
  for (const Operand& operand : node.rest) {
    Value right = TRY(evaluate(*operand.value));
    if (!TRY(compare(*this, operand.op, left, right))) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Result<Value> Interpreter::evaluate_concat(const Concat& node) {
  TextBuilder out(*this);
  for (const Expression* part : node.parts) {
    const Value value = TRY(evaluate(*part));
    TRY(print(*this, out, value));
  }
  return out.value();
}

Result<Value> Interpreter::evaluate_conditional(const Conditional& node) {
  if (truth(TRY(evaluate(*node.condition)))) return evaluate(*node.then);
  if (node.otherwise) return evaluate(*node.otherwise);
  return absent_hint(fmt::format(
      "the inline if-expression on line {} evaluated to false and no else section was defined.",
      node.line));
}

Result<Value> Interpreter::evaluate_postfix(const Postfix& node, Value value) {
  for (const Step& step : node.steps) value = TRY(apply_step(step, std::move(value)));
  return value;
}

Result<Value> Interpreter::apply_step(const Step& step, Value value) {
  TRY(spend(1));
  line_ = step.line;
  switch (step.kind) {
    case Step::Kind::attribute:
      return attribute(*this, value, step.name);
    case Step::Kind::item:
      return item(*this, value, TRY(evaluate(*step.item)));
    case Step::Kind::slice:
      return apply_slice(step, value);
    case Step::Kind::call: {
      Arguments arguments = TRY(evaluate_arguments(step.arguments));
      line_ = step.line;
      return call(value, std::move(arguments));
    }
    case Step::Kind::filter:
    case Step::Kind::test:
      break;
  }
  const bool is_filter = step.kind == Step::Kind::filter;
  if (!step.signature)
    return error(fmt::format("No {} named '{}' found.", is_filter ? "filter" : "test", step.name));
  Arguments arguments = TRY(evaluate_arguments(step.arguments));
  line_ = step.line;
  Value result = TRY(invoke(*this, *step.signature, value, std::move(arguments)));
  if (is_filter) return result;
  return step.negated ? Value::boolean(!truth(result)) : result;
}

Result<Value> Interpreter::apply_slice(const Step& step, const Value& value) {
  const Value start = step.item ? TRY(evaluate(*step.item)) : Value::none();
  const Value stop = step.stop ? TRY(evaluate(*step.stop)) : Value::none();
  const Value stride = step.step ? TRY(evaluate(*step.step)) : Value::none();
  return slice(*this, value, start, stop, stride);
}

Result<Arguments> Interpreter::evaluate_arguments(const CallArguments& node) {
  Arguments arguments;
  arguments.positional.reserve(node.positional.size());
  for (const Expression* value : node.positional)
    arguments.positional.push_back(TRY(evaluate(*value)));
  for (const auto& [name, value] : node.named)
    arguments.named.emplace_back(name, TRY(evaluate(*value)));
  if (node.spread) {
    const Value values = TRY(evaluate(*node.spread));
    std::vector<Value> items = TRY(drain(*this, values));
    for (Value& value : items) arguments.positional.push_back(std::move(value));
  }
  if (node.spread_named) {
    const Value values = TRY(evaluate(*node.spread_named));
    if (values.kind() != Kind::dict) return error("argument after ** must be a mapping");
    for (const auto& entry : values.as_dict().entries) {
      if (!entry.key.is_string()) return error("keywords must be strings");
      arguments.named.emplace_back(entry.key.view(), entry.value);
    }
  }
  return arguments;
}

}  // namespace hearth::jinja
