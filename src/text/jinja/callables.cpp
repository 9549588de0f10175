#include "text/jinja/callables.h"

#include <fmt/core.h>

#include <algorithm>

#include "text/jinja/operators.h"
#include "text/jinja/printing.h"

namespace hearth::jinja {
namespace {

class NativeFunction final : public Thing {
 public:
  NativeFunction(const Signature& signature, Value subject)
      : signature_(signature), subject_(std::move(subject)) {
    // Methods are called at once; one that is kept is as deep as what it belongs to.
    depth = static_cast<std::uint16_t>(std::min(subject_.depth() + 1, max_value_depth));
  }
  std::string_view type_name() const override { return "builtin_function_or_method"; }
  bool callable() const override { return true; }
  Result<Value> call(Interpreter& in, Arguments arguments) override {
    return invoke(in, signature_, subject_, std::move(arguments));
  }

 private:
  const Signature& signature_;
  const Value subject_;
};

// One parameter's name and the rest of the list.
std::string_view next_word(std::string_view& words) {
  const auto end = std::min(words.find(' '), words.size());
  const auto word = words.substr(0, end);
  words.remove_prefix(std::min(end + 1, words.size()));
  return word;
}

Error bad_call(Interpreter& in, const Signature& signature, std::string_view what) {
  return in.error(fmt::format("{}() {}", signature.name, what));
}

Result<Bound> bind(Interpreter& in, const Signature& signature, Arguments arguments) {
  Bound bound;
  if (signature.parameters == "*") {
    bound.rest = std::move(arguments);
    return bound;
  }
  std::string_view words = signature.parameters;
  const bool may_be_named = !words.starts_with('/');
  if (!may_be_named) words.remove_prefix(1);
  std::size_t count = 0, taken_by_name = 0;
  bool optional = false;
  while (!words.empty()) {
    const auto name = next_word(words);
    if (name == "?") {
      optional = true;
      continue;
    }
    Value& target = bound.values[count];
    if (count < arguments.positional.size()) target = std::move(arguments.positional[count]);
    for (auto& [given, value] : arguments.named) {
      if (given != name || !may_be_named) continue;
      if (!target.is_missing())
        return bad_call(in, signature, fmt::format("got multiple values for argument '{}'", name));
      target = std::move(value);
      ++taken_by_name;
    }
    if (target.is_missing() && !optional)
      return bad_call(in, signature, fmt::format("missing the argument '{}'", name));
    ++count;
  }
  if (arguments.positional.size() > count)
    return bad_call(in, signature, fmt::format("takes at most {} arguments", count));
  if (taken_by_name < arguments.named.size())
    return bad_call(in, signature, "got an unexpected keyword argument");
  return bound;
}

const Signature* find_in(std::span<const Signature> table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Signature& row) { return row.name == name; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace

Result<Value> invoke(Interpreter& in, const Signature& signature, const Value& subject,
                     Arguments arguments) {
  // Nearly everything done to a text reads all of it.
  TRY(in.spend(subject.is_string() ? subject.view().size() / bytes_per_unit + 2 : 2));
  const Interpreter::Nest nest(in);
  TRY(nest.check());
  Bound bound = TRY(bind(in, signature, std::move(arguments)));
  return signature.call(in, subject, bound);
}

Value native_value(const Signature& signature, Value subject) {
  return thing_value(make<NativeFunction>(signature, std::move(subject)));
}

const Signature* find_filter(std::string_view name) {
  for (const auto table : {text_filters(), sequence_filters(), value_filters(), html_filters()})
    if (const Signature* found = find_in(table, name)) return found;
  return nullptr;
}

const Signature* find_test(std::string_view name) { return find_in(tests(), name); }

const Signature* find_string_method(std::string_view name) {
  const Signature* found = find_in(string_methods(), name);
  return found ? found : find_in(string_queries(), name);
}

Result<std::int64_t> integer_argument(Interpreter& in, const Value& value) {
  if (value.is_undefined()) return undefined_error(in, value);
  if (!value.is_integral())
    return in.error(
        fmt::format("'{}' object cannot be interpreted as an integer", type_name(value)));
  return value.as_integer();
}

Result<std::int64_t> integer_or(Interpreter& in, const Bound& arguments, std::size_t i,
                                std::int64_t otherwise) {
  if (!arguments.given(i)) return otherwise;
  return integer_argument(in, arguments[i]);
}

bool truth_or(const Bound& arguments, std::size_t i, bool otherwise) {
  return arguments.has(i) ? truth(arguments[i]) : otherwise;
}

Result<Ref<Str>> text_argument(Interpreter& in, const Value& value) {
  if (value.is_undefined()) return undefined_error(in, value);
  if (!value.is_string()) return in.error(fmt::format("needs a string, got {}", type_name(value)));
  return Ref<Str>(&value.as_str());
}

Result<Ref<Str>> soft_text(Interpreter& in, const Value& value) {
  if (value.is_string()) return Ref<Str>(&value.as_str());
  const Value text = TRY(to_string(in, value));
  return Ref<Str>(&text.as_str());
}

}  // namespace hearth::jinja
