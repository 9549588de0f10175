#include "text/jinja/walk.h"

namespace hearth::jinja {
namespace {

// Visits the direct parts of an expression, in order of evaluation.
template <typename Visit>
void for_parts(Expression& expression, const Visit& visit) {
  const auto each = [&](Expression* part) {
    if (part) visit(part);
  };
  const auto arguments = [&](const CallArguments& call) {
    for (Expression* value : call.positional) each(value);
    for (const auto& [name, value] : call.named) each(value);
    each(call.spread);
    each(call.spread_named);
  };
  switch (expression.kind) {
    case ExpressionKind::literal:
    case ExpressionKind::name:
      return;
    case ExpressionKind::items:
      for (Expression* item : static_cast<ItemsLiteral&>(expression).items) each(item);
      return;
    case ExpressionKind::dict:
      for (const auto& [key, value] : static_cast<DictLiteral&>(expression).entries) {
        each(key);
        each(value);
      }
      return;
    case ExpressionKind::chain:
      each(static_cast<Chain&>(expression).first);
      for (const Operand& operand : static_cast<Chain&>(expression).rest) each(operand.value);
      return;
    case ExpressionKind::logic:
      for (Expression* part : static_cast<Logic&>(expression).parts) each(part);
      return;
    case ExpressionKind::negation:
      return each(static_cast<Negation&>(expression).value);
    case ExpressionKind::sign:
      return each(static_cast<Sign&>(expression).value);
    case ExpressionKind::compare:
      each(static_cast<Compare&>(expression).first);
      for (const Operand& operand : static_cast<Compare&>(expression).rest) each(operand.value);
      return;
    case ExpressionKind::concat:
      for (Expression* part : static_cast<Concat&>(expression).parts) each(part);
      return;
    case ExpressionKind::conditional: {
      const auto& node = static_cast<Conditional&>(expression);
      each(node.condition);
      each(node.then);
      each(node.otherwise);
      return;
    }
    case ExpressionKind::attribute_target:
      return each(static_cast<AttributeTarget&>(expression).space);
    case ExpressionKind::postfix:
      each(static_cast<Postfix&>(expression).base);
      for (const Step& step : static_cast<Postfix&>(expression).steps) {
        each(step.item);
        each(step.stop);
        each(step.step);
        arguments(step.arguments);
      }
      return;
  }
}

void walk_steps_within(Expression* expression, bool in_condition,
                       const std::function<void(const Step&, bool)>& visit) {
  if (expression->kind == ExpressionKind::conditional) in_condition = true;
  if (expression->kind == ExpressionKind::postfix)
    for (const Step& step : static_cast<Postfix*>(expression)->steps) visit(step, in_condition);
  for_parts(*expression, [&](Expression* part) { walk_steps_within(part, in_condition, visit); });
}

// Visits the expressions and bodies of a statement.
template <typename OnExpression, typename OnBody>
void for_children(Statement& statement, const OnExpression& expression, const OnBody& body) {
  const auto each = [&](Expression* part) {
    if (part) expression(part);
  };
  const auto function = [&](Function& inner) {
    for (Name* parameter : inner.parameters) each(parameter);
    for (Expression* value : inner.defaults) each(value);
    body(inner.body);
  };
  switch (statement.kind) {
    case StatementKind::output:
      for (Expression* part : static_cast<Output&>(statement).parts) each(part);
      return;
    case StatementKind::if_:
      for (auto& [test, branch] : static_cast<If&>(statement).branches) {
        each(test);
        body(branch);
      }
      return body(static_cast<If&>(statement).otherwise);
    case StatementKind::for_: {
      auto& node = static_cast<For&>(statement);
      each(node.target);
      each(node.items);
      body(node.body);
      body(node.otherwise);
      return each(node.test);
    }
    case StatementKind::set:
      each(static_cast<Set&>(statement).target);
      return each(static_cast<Set&>(statement).value);
    case StatementKind::set_block:
      each(static_cast<SetBlock&>(statement).target);
      each(static_cast<SetBlock&>(statement).filter);
      return body(static_cast<SetBlock&>(statement).body);
    case StatementKind::macro:
      return function(static_cast<MacroStatement&>(statement).function);
    case StatementKind::call_block:
      each(static_cast<CallBlock&>(statement).call);
      return function(static_cast<CallBlock&>(statement).function);
    case StatementKind::filter_block:
      body(static_cast<FilterBlock&>(statement).body);
      return each(static_cast<FilterBlock&>(statement).filter);
    case StatementKind::with:
      for (auto& [target, value] : static_cast<With&>(statement).values) each(target);
      for (auto& [target, value] : static_cast<With&>(statement).values) each(value);
      return body(static_cast<With&>(statement).body);
    case StatementKind::generation:
      return function(static_cast<GenerationBlock&>(statement).function);
    case StatementKind::block:  // sees variables of its own
    case StatementKind::break_:
    case StatementKind::continue_:
      return;
  }
}

enum class Use { none, read, written };

Use first_use(const Body& body, int name) {
  Use use = Use::none;
  const auto expression = [&](Expression* part) {
    walk_names(part, [&](Name& found) {
      if (use == Use::none && found.name == name)
        use = found.use == Name::Use::load ? Use::read : Use::written;
    });
  };
  const auto inner = [&](Body& part) {
    if (use == Use::none) use = first_use(part, name);
  };
  for (Statement* statement : body) {
    if (use != Use::none) break;
    for_children(*statement, expression, inner);
  }
  return use;
}

bool writes_in(Statement& statement, int name) {
  bool writes = false;
  const auto expression = [&](Expression* part) {
    walk_names(part, [&](Name& found) {
      if (found.name == name && found.use == Name::Use::store) writes = true;
    });
  };
  const auto inner = [&](Body& body) {
    for (Statement* part : body) writes = writes || writes_in(*part, name);
  };
  for_children(statement, expression, inner);
  return writes;
}

}  // namespace

void walk_names(Expression* expression, const std::function<void(Name&)>& visit) {
  if (!expression) return;
  if (expression->kind == ExpressionKind::name) return visit(static_cast<Name&>(*expression));
  for_parts(*expression, [&](Expression* part) { walk_names(part, visit); });
}

void walk_steps(Expression* expression, const std::function<void(const Step&, bool)>& visit) {
  walk_steps_within(expression, false, visit);
}

bool reads_name(const Body& body, int name) { return first_use(body, name) == Use::read; }

bool writes_name(const For& loop, int name) {
  bool writes = false;
  walk_names(loop.target, [&](Name& found) { writes = writes || found.name == name; });
  return writes || writes_in(const_cast<For&>(loop), name);
}

}  // namespace hearth::jinja
