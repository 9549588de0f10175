// Statements.
#include <fmt/core.h>

#include "text/jinja/callables.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/macro.h"
#include "text/jinja/operators.h"
#include "text/jinja/printing.h"

namespace hearth::jinja {

Value& Interpreter::slot(Reference reference) {
  Frame* frame = frame_;
  for (std::uint32_t i = 0; i < reference.hops; ++i) frame = frame->parent;
  return frame->slots[reference.slot];
}

void Interpreter::enter(const Scope& scope) {
  for (const Load& load : scope.loads) {
    Value& target = frame_->slots[load.slot];
    switch (load.from) {
      case Load::From::context:
        target = context_[static_cast<std::size_t>(load.name)];
        break;
      case Load::From::outer:
        target = slot(load.outer);
        break;
      case Load::From::nothing:
        target = Value();
        break;
    }
  }
}

void Interpreter::leave(const Scope& scope) {
  for (const std::uint32_t at : scope.slots) frame_->slots[at] = Value();
}

// `local`, unless a function defined inside may need the variables after the call is over.
Frame* Interpreter::new_frame(const Function& function, Frame* parent, Frame& local) {
  Frame* frame = &local;
  if (function.keeps_frame) {
    kept_frames_.push_back(std::make_unique<Frame>());
    frame = kept_frames_.back().get();
  }
  frame->parent = parent;
  frame->slots.resize(function.slots);
  return frame;
}

Result<Interpreter::Flow> Interpreter::execute(const Body& body) {
  const Nest nest(*this);
  TRY(nest.check());
  for (const Statement* statement : body) {
    const Flow flow = TRY(execute(*statement));
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

Result<Interpreter::Flow> Interpreter::execute(const Statement& statement) {
  TRY(spend(units_per_step));
  line_ = statement.line;
  Flow flow = Flow::next;
  switch (statement.kind) {
    case StatementKind::output:
      TRY(execute_output(static_cast<const Output&>(statement)));
      break;
    case StatementKind::if_:
      return execute_if(static_cast<const If&>(statement));
    case StatementKind::for_: {
      const auto& node = static_cast<const For&>(statement);
      const Value items = TRY(evaluate(*node.items));
      if (!node.recursive) return execute_for(node, items, nullptr, 0);
      const Value text = TRY(call_loop(node, frame_, items, 0));
      out_->append(text.as_str());
      TRY(out_->check());
      break;
    }
    case StatementKind::set:
      TRY(execute_set(static_cast<const Set&>(statement)));
      break;
    case StatementKind::set_block:
      TRY(execute_set_block(static_cast<const SetBlock&>(statement), flow));
      break;
    case StatementKind::macro:
      TRY(execute_macro(static_cast<const MacroStatement&>(statement)));
      break;
    case StatementKind::call_block:
      TRY(execute_call_block(static_cast<const CallBlock&>(statement)));
      break;
    case StatementKind::filter_block:
      TRY(execute_filter_block(static_cast<const FilterBlock&>(statement), flow));
      break;
    case StatementKind::with:
      return execute_with(static_cast<const With&>(statement));
    case StatementKind::generation:
      TRY(execute_generation(static_cast<const GenerationBlock&>(statement)));
      break;
    case StatementKind::block:
      TRY(execute_block(static_cast<const BlockStatement&>(statement)));
      break;
    case StatementKind::break_:
      return Flow::leave_loop;
    case StatementKind::continue_:
      return Flow::next_round;
  }
  return flow;
}

Status Interpreter::execute_output(const Output& node) {
  for (const Expression* part : node.parts) {
    if (part->kind == ExpressionKind::literal) {
      const Value& value = static_cast<const Literal*>(part)->value;
      if (value.is_string()) {
        TRY(spend(value.as_str().text.size() / bytes_per_unit));
        out_->append(value.as_str());
        continue;
      }
    }
    const Value value = TRY(evaluate(*part));
    TRY(print(*this, *out_, value));
  }
  return out_->check();
}

Result<Interpreter::Flow> Interpreter::execute_if(const If& node) {
  for (const auto& [test, body] : node.branches)
    if (truth(TRY(evaluate(*test)))) return execute(body);
  return node.otherwise.empty() ? Flow::next : execute(node.otherwise);
}

Result<Interpreter::Flow> Interpreter::execute_with(const With& node) {
  enter(node.scope);
  for (const auto& [target, expression] : node.values) {
    Value value = TRY(evaluate(*expression));
    TRY(assign(*target, std::move(value)));
  }
  const Flow flow = TRY(execute(node.body));
  leave(node.scope);
  return flow;
}

Status Interpreter::check_namespaces(const Expression& target) {
  if (target.kind == ExpressionKind::items) {
    for (const Expression* item : static_cast<const ItemsLiteral&>(target).items)
      TRY(check_namespaces(*item));
  }
  if (target.kind != ExpressionKind::attribute_target) return Done{};
  const auto& node = static_cast<const AttributeTarget&>(target);
  const Value& space = slot(node.space->reference);
  if (space.kind() != Kind::thing || !dynamic_cast<Namespace*>(&space.as_thing()))
    return error("cannot assign attribute on non-namespace object");
  if (node.attribute.starts_with('_'))
    return error(fmt::format("a namespace cannot have the attribute '{}'", node.attribute));
  return Done{};
}

Status Interpreter::assign(const Expression& target, Value value) {
  switch (target.kind) {
    case ExpressionKind::name:
      slot(static_cast<const Name&>(target).reference) = std::move(value);
      return Done{};
    case ExpressionKind::attribute_target: {
      const auto& node = static_cast<const AttributeTarget&>(target);
      const Value space = slot(node.space->reference);
      auto& attributes = static_cast<Namespace&>(space.as_thing()).attributes();
      attributes.set(Value::text(node.attribute), std::move(value));
      return Done{};
    }
    default:
      break;
  }
  const auto& targets = static_cast<const ItemsLiteral&>(target).items;
  if (!is_iterable(value))
    return error(fmt::format("cannot unpack non-iterable {} object", type_name(value)));
  std::vector<Value> values = TRY(drain(*this, value));
  if (values.size() != targets.size())
    return error(fmt::format("{} values to unpack (expected {})",
                             values.size() > targets.size() ? "too many" : "not enough",
                             targets.size()));
  for (std::size_t i = 0; i < targets.size(); ++i) TRY(assign(*targets[i], std::move(values[i])));
  return Done{};
}

Status Interpreter::execute_set(const Set& node) {
  if (node.target->kind != ExpressionKind::name) TRY(check_namespaces(*node.target));
  return assign(*node.target, TRY(evaluate(*node.value)));
}

Status Interpreter::capture(const Body& body, Value& text, Flow& flow) {
  TextBuilder inner(*this);
  TextBuilder* const outer = std::exchange(out_, &inner);
  const auto result = execute(body);
  out_ = outer;
  if (!result) return result.error();
  flow = *result;
  text = TRY(inner.value());
  return Done{};
}

Status Interpreter::execute_set_block(const SetBlock& node, Flow& flow) {
  enter(node.scope);
  Value text;
  TRY(capture(node.body, text, flow));
  if (flow != Flow::next) return Done{};
  if (node.filter) text = TRY(evaluate_postfix(*node.filter, std::move(text)));
  if (node.target->kind != ExpressionKind::name) TRY(check_namespaces(*node.target));
  TRY(assign(*node.target, std::move(text)));
  leave(node.scope);
  return Done{};
}

Status Interpreter::execute_filter_block(const FilterBlock& node, Flow& flow) {
  enter(node.scope);
  Value text;
  TRY(capture(node.body, text, flow));
  if (flow != Flow::next) return Done{};
  const Value filtered = TRY(evaluate_postfix(*node.filter, std::move(text)));
  TRY(print(*this, *out_, filtered));
  leave(node.scope);
  return out_->check();
}

Status Interpreter::execute_macro(const MacroStatement& node) {
  slot(node.target->reference) =
      thing_value(make<Macro>(node.function, frame_, std::string_view(node.name)));
  return Done{};
}

Status Interpreter::execute_call_block(const CallBlock& node) {
  const Value caller = thing_value(make<Macro>(node.function, frame_, std::string_view()));
  Value callee = node.call->base ? TRY(evaluate(*node.call->base)) : Value();
  for (std::size_t i = 0; i + 1 < node.call->steps.size(); ++i)
    callee = TRY(apply_step(node.call->steps[i], std::move(callee)));
  const Step& last = node.call->steps.back();
  Arguments arguments = TRY(evaluate_arguments(last.arguments));
  arguments.named.emplace_back("caller", caller);
  line_ = last.line;
  const Value text = TRY(call(callee, std::move(arguments)));
  TRY(print(*this, *out_, text));
  return out_->check();
}

Status Interpreter::execute_generation(const GenerationBlock& node) {
  const Value text = TRY(call_macro(node.function, frame_, {}, {}));
  out_->append(text.as_str());
  return out_->check();
}

Status Interpreter::execute_block(const BlockStatement& node) {
  // A block sees the context and what the template itself, outside of loops, has set so far.
  std::vector<Value> hidden;
  for (const auto& [name, at] : program_.exported) {
    Value& seen = context_[static_cast<std::size_t>(name)];
    hidden.push_back(seen);
    if (!root_frame_->slots[at].is_missing()) seen = root_frame_->slots[at];
  }
  const auto text = call_macro(node.function, nullptr, {}, {});
  for (std::size_t i = 0; i < hidden.size(); ++i)
    context_[static_cast<std::size_t>(program_.exported[i].first)] = hidden[i];
  if (!text) return text.error();
  out_->append(text->as_str());
  return out_->check();
}

}  // namespace hearth::jinja
