#include "text/jinja/macro.h"

#include <fmt/core.h>

#include <algorithm>

#include "text/jinja/operators.h"

namespace hearth::jinja {
namespace {

Value take_named(Arguments& arguments, std::string_view name) {
  const auto found = std::find_if(arguments.named.begin(), arguments.named.end(),
                                  [&](const auto& row) { return row.first == name; });
  if (found == arguments.named.end()) return Value();
  Value value = std::move(found->second);
  arguments.named.erase(found);
  return value;
}

}  // namespace

Result<Value> Macro::call(Interpreter& in, Arguments arguments) {
  return in.call_macro(function_, closure_, name_, std::move(arguments));
}

Result<Value> Macro::attribute(Interpreter& in, std::string_view name) {
  if (name == "name") return name_.empty() ? Value::none() : Value::text(name_);
  if (name == "catch_kwargs") return Value::boolean(function_.takes_named);
  if (name == "catch_varargs") return Value::boolean(function_.takes_rest);
  if (name == "caller") return Value::boolean(function_.takes_caller);
  if (name == "arguments") {
    std::vector<Value> names;
    for (const Name* parameter : function_.parameters)
      names.push_back(Value::text(in.name_of(*parameter)));
    return in.tuple(std::move(names));
  }
  return Value();
}

Status Macro::print(Interpreter&, TextBuilder& out) {
  out.append(name_.empty() ? "<Macro anonymous>" : fmt::format("<Macro '{}'>", name_));
  return Done{};
}

// Positional arguments first, then named ones, then defaults; what is left over goes to varargs and
// kwargs where the macro mentions them.
Result<Value> Interpreter::call_macro(const Function& function, Frame* closure,
                                      std::string_view name, Arguments arguments) {
  if (calls_ >= limits_.calls)
    return error(fmt::format("calls nested deeper than {} (limit depth)", limits_.calls));
  TRY(spend(units_per_step * (function.keeps_frame ? 4 : 1)));
  Frame local;
  Frame* const frame = new_frame(function, closure, local);

  const std::size_t given = std::min(arguments.positional.size(), function.parameters.size());
  for (std::size_t i = 0; i < function.parameters.size(); ++i) {
    const Name& parameter = *function.parameters[i];
    frame->slots[parameter.reference.slot] =
        i < given ? arguments.positional[i] : take_named(arguments, name_of(parameter));
  }
  if (function.takes_caller && !function.names_caller) {
    Value caller = take_named(arguments, "caller");
    frame->slots[function.caller_slot] =
        caller.is_missing() || caller.is_none() ? absent_hint("No caller defined") : caller;
  }
  if (function.takes_named) {
    const auto rest = make<Dict>();
    for (auto& [key, value] : arguments.named) rest->set(Value::text(key), value);
    frame->slots[function.named_slot] = TRY(dict(rest));
  } else if (!arguments.named.empty()) {
    return error(fmt::format("macro '{}' takes no keyword argument '{}'", name,
                             arguments.named.front().first));
  }
  if (function.takes_rest) {
    std::vector<Value> rest(arguments.positional.begin() + static_cast<std::ptrdiff_t>(given),
                            arguments.positional.end());
    frame->slots[function.rest_slot] = TRY(tuple(std::move(rest)));
  } else if (arguments.positional.size() > function.parameters.size()) {
    return error(fmt::format("macro '{}' takes not more than {} argument(s)", name,
                             function.parameters.size()));
  }
  return run_function(function, frame);
}

Result<Value> Interpreter::run_function(const Function& function, Frame* frame) {
  Frame* const caller_frame = std::exchange(frame_, frame);
  const std::uint32_t caller_line = line_;
  ++calls_;
  enter(function.scope);
  Value text;
  Flow flow = Flow::next;
  Status status = fill_defaults(function);
  if (status.ok()) status = capture(function.body, text, flow);
  --calls_;
  frame_ = caller_frame;
  if (!status.ok()) return status.error();
  line_ = caller_line;
  return text;
}

Status Interpreter::fill_defaults(const Function& function) {
  const std::size_t without = function.parameters.size() - function.defaults.size();
  for (std::size_t i = 0; i < function.parameters.size(); ++i) {
    const Name& parameter = *function.parameters[i];
    const std::uint32_t at = parameter.reference.slot;
    if (!frame_->slots[at].is_missing()) continue;
    if (i >= without)
      frame_->slots[at] = TRY(evaluate(*function.defaults[i - without]));
    else
      frame_->slots[at] =
          absent_hint(fmt::format("parameter '{}' was not provided", name_of(parameter)));
  }
  return Done{};
}

}  // namespace hearth::jinja
