// The functions every template can call.
#include <fmt/core.h>

#include "base/utf8.h"
#include "text/jinja/callables.h"
#include "text/jinja/operators.h"
#include "text/jinja/printing.h"
#include "text/jinja/strftime.h"

namespace hearth::jinja {
namespace {

constexpr std::size_t max_time_format = 1024;
constexpr std::size_t max_exception_bytes = 4096;  // of a message a template raises

// dict(mapping or pairs, name=value, ...).
Result<Ref<Dict>> dict_from(Interpreter& in, const Arguments& arguments, std::string_view what) {
  const auto made = make<Dict>();
  if (arguments.positional.size() > 1)
    return in.error(fmt::format("{}() takes at most one argument", what));
  if (!arguments.positional.empty() && arguments.positional[0].kind() == Kind::dict) {
    TRY(in.spend(arguments.positional[0].as_dict().entries.size() * 4));
    for (const auto& entry : arguments.positional[0].as_dict().entries)
      made->set(entry.key, entry.value);
  } else if (!arguments.positional.empty()) {
    const auto pairs = TRY(drain(in, arguments.positional[0]));
    for (const Value& pair : pairs) {
      std::vector<Value> both = TRY(drain(in, pair));
      if (both.size() == 2) TRY(pay_key(in, both[0]));
      if (both.size() != 2 || !made->set(both[0], both[1]))
        return in.error(fmt::format("{}() needs pairs of a key and a value", what));
    }
  }
  for (const auto& [name, value] : arguments.named) made->set(Value::text(name), value);
  return made;
}

Result<Value> global_dict(Interpreter& in, const Value&, Bound& arguments) {
  const Ref<Dict> made = TRY(dict_from(in, arguments.rest, "dict"));
  return in.dict(made);
}

Result<Value> global_namespace(Interpreter& in, const Value&, Bound& arguments) {
  const Ref<Dict> made = TRY(dict_from(in, arguments.rest, "namespace"));
  return in.new_namespace(Value::of(Kind::dict, made.get()));
}

Result<Value> global_range(Interpreter& in, const Value&, Bound& arguments) {
  return make_range(in, std::move(arguments.rest));
}

// The message leaves in an error: cut to a sane length, and always UTF-8.
Result<Value> global_raise(Interpreter& in, const Value&, Bound& arguments) {
  const auto text = TRY(soft_text(in, arguments[0]));
  std::string message(text->text.view().substr(0, max_exception_bytes));
  message.resize(message.size() - incomplete_tail(message));
  return in.raised(std::move(message));
}

Result<Value> global_strftime(Interpreter& in, const Value&, Bound& arguments) {
  const auto format = TRY(text_argument(in, arguments[0]));
  if (format->text.size() > max_time_format)
    return in.error(fmt::format("strftime_now: a format of more than {} bytes", max_time_format));
  TextBuilder out(in);
  out.append(format_time(format->text.view(), in.now_seconds()), format->text.all_trusted());
  return out.value();
}

class Cycler final : public Thing {
 public:
  explicit Cycler(std::vector<Value> values) : values_(std::move(values)) {}
  std::string_view type_name() const override { return "Cycler"; }
  Result<Value> attribute(Interpreter&, std::string_view name) override;
  const Value& current() const { return values_[at_]; }
  void advance() { at_ = (at_ + 1) % values_.size(); }
  void reset() { at_ = 0; }

 private:
  std::vector<Value> values_;
  std::size_t at_ = 0;
};

Result<Value> cycler_next(Interpreter&, const Value& subject, Bound&) {
  auto& cycler = static_cast<Cycler&>(subject.as_thing());
  Value value = cycler.current();
  cycler.advance();
  return value;
}

Result<Value> cycler_reset(Interpreter&, const Value& subject, Bound&) {
  static_cast<Cycler&>(subject.as_thing()).reset();
  return Value::none();
}

constexpr Signature next_method{"next", "", cycler_next}, reset_method{"reset", "", cycler_reset};

Result<Value> Cycler::attribute(Interpreter&, std::string_view name) {
  if (name == "current") return current();
  if (name == "next") return native_value(next_method, thing_value(this));
  if (name == "reset") return native_value(reset_method, thing_value(this));
  return Value();
}

Result<Value> global_cycler(Interpreter& in, const Value&, Bound& arguments) {
  if (arguments.rest.positional.empty()) return in.error("at least one item has to be provided");
  const Value inside = TRY(in.tuple(arguments.rest.positional));
  return in.thing(Ref<Thing>(new Cycler(std::move(arguments.rest.positional))), inside);
}

// Gives nothing when called first, then its separator.
class Joiner final : public Thing {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  std::string_view type_name() const override { return "Joiner"; }
  bool callable() const override { return true; }
  Result<Value> call(Interpreter&, Arguments) override {
    if (std::exchange(used_, true)) return separator_;
    return Value::text("");
  }

 private:
  Value separator_;
  bool used_ = false;
};

Result<Value> global_joiner(Interpreter& in, const Value&, Bound& arguments) {
  const Value separator = arguments.has(0) ? arguments[0] : Value::text(", ");
  return in.thing(Ref<Thing>(new Joiner(separator)), separator);
}

constexpr Signature globals_table[] = {
    {"cycler", "*", global_cycler},
    {"dict", "*", global_dict},
    {"joiner", "? sep", global_joiner},
    {"namespace", "*", global_namespace},
    {"raise_exception", "message", global_raise},
    {"range", "*", global_range},
    {"strftime_now", "format", global_strftime},
};

}  // namespace

Value global(std::string_view name) {
  for (const Signature& row : globals_table)
    if (row.name == name) return native_value(row, Value());
  return Value();
}

}  // namespace hearth::jinja
