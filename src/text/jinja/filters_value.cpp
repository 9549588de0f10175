// Filters of numbers and of any value.  Source: Jinja2 3.1, "List of Builtin Filters"; Hugging Face
// transformers' tojson, which does not escape HTML.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "text/jinja/callables.h"
#include "text/jinja/json_text.h"
#include "text/jinja/numbers.h"
#include "text/jinja/operators.h"
#include "text/jinja/printing.h"

namespace hearth::jinja {
namespace {

constexpr std::size_t max_json_bytes = 8u << 20;  // of a text that from_json reads
constexpr std::int64_t max_digits = 300;          // of a rounding

Result<Value> default_filter(Interpreter&, const Value& subject, Bound& arguments) {
  const bool falls_back =
      subject.is_undefined() || (truth_or(arguments, 1, false) && !truth(subject));
  if (!falls_back) return subject;
  return arguments.has(0) ? arguments[0] : Value::text("");
}

Result<Value> string(Interpreter& in, const Value& subject, Bound&) {
  return subject.is_string() ? Result<Value>(subject) : to_string(in, subject);
}

Result<Value> abs_filter(Interpreter& in, const Value& subject, Bound&) {
  if (subject.is_undefined()) return undefined_error(in, subject);
  if (!subject.is_number())
    return in.error(fmt::format("bad operand type for abs(): '{}'", type_name(subject)));
  if (subject.kind() == Kind::real) return Value::real(std::abs(subject.as_real()));
  return subject.as_integer() < 0 ? negate(in, subject, true)
                                  : Result<Value>(Value::integer(subject.as_integer()));
}

Result<Value> truncated(const Value& number, const Value& otherwise) {
  if (number.is_integral()) return Value::integer(number.as_integer());
  const double whole = std::trunc(number.as_real());
  if (!(std::abs(whole) < 9.2e18)) return otherwise;
  return Value::integer(static_cast<std::int64_t>(whole));
}

Result<Value> int_filter(Interpreter& in, const Value& subject, Bound& arguments) {
  const Value otherwise = arguments.has(0) ? arguments[0] : Value::integer(0);
  const std::int64_t base = TRY(integer_or(in, arguments, 1, 10));
  if (subject.is_undefined()) return undefined_error(in, subject);
  if (subject.is_number()) return truncated(subject, otherwise);
  if (!subject.is_string()) return otherwise;
  if (const auto whole = parse_integer(subject.view(), base)) return Value::integer(*whole);
  if (const auto real = parse_real(subject.view())) return truncated(Value::real(*real), otherwise);
  return otherwise;
}

Result<Value> float_filter(Interpreter& in, const Value& subject, Bound& arguments) {
  if (subject.is_undefined()) return undefined_error(in, subject);
  if (subject.is_number()) return Value::real(subject.as_real());
  if (subject.is_string()) {
    if (const auto real = parse_real(subject.view())) return Value::real(*real);
  }
  return arguments.has(0) ? arguments[0] : Value::real(0);
}

Result<Value> round_filter(Interpreter& in, const Value& subject, Bound& arguments) {
  const std::int64_t digits = TRY(integer_or(in, arguments, 0, 0));
  std::string_view method = "common";
  if (arguments.has(1)) method = arguments[1].is_string() ? arguments[1].view() : "";
  if (method != "common" && method != "ceil" && method != "floor")
    return in.error("method must be common, ceil or floor");
  if (subject.is_undefined()) return undefined_error(in, subject);
  if (!subject.is_number())
    return in.error(fmt::format("type {} doesn't define __round__ method", type_name(subject)));
  if (std::abs(digits) > max_digits) return in.error("round: too many digits");
  if (method == "common") {
    if (subject.is_integral() && digits >= 0) return Value::integer(subject.as_integer());
    const double rounded = round_to(subject.as_real(), static_cast<int>(digits));
    if (subject.is_integral()) return truncated(Value::real(rounded), Value::integer(0));
    return Value::real(rounded);
  }
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = subject.as_real() * scale;
  if (!std::isfinite(scaled)) return in.error("cannot convert float infinity or NaN to integer");
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Result<Value> format(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto text = TRY(soft_text(in, subject));
  if (!arguments.rest.positional.empty() && !arguments.rest.named.empty())
    return in.error("can't handle positional and keyword arguments at the same time");
  if (arguments.rest.named.empty()) {
    const Value values = TRY(in.tuple(std::move(arguments.rest.positional)));
    return format_percent(in, *text, values);
  }
  const auto values = make<Dict>();
  for (const auto& [name, value] : arguments.rest.named) values->set(Value::text(name), value);
  const Value mapping = TRY(in.dict(values));
  return format_percent(in, *text, mapping);
}

Result<Value> attr(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto name = TRY(text_argument(in, arguments[0]));
  if (subject.is_undefined()) return undefined_error(in, subject);
  const Value found = TRY(attribute(in, subject, name->text.view()));
  // What is an item rather than an attribute does not count.
  const bool is_item = subject.kind() == Kind::dict && !find_dict_method(name->text.view()) &&
                       subject.as_dict().find(name->text.view());
  return is_item ? absent_attribute(subject, name->text.view()) : found;
}

Result<Value> tojson(Interpreter& in, const Value& subject, Bound& arguments) {
  JsonForm form;
  form.ascii_only = truth_or(arguments, 0, false);
  form.sort_keys = truth_or(arguments, 3, false);
  form.multi_line = arguments.given(1);
  if (form.multi_line) {
    if (arguments[1].is_string()) {
      form.indent = arguments[1].as_str().text;
    } else {
      const std::int64_t width = TRY(integer_argument(in, arguments[1]));
      if (width > 1024) return in.error("tojson: an indent of more than 1024");
      form.indent = Marked(std::string(width > 0 ? static_cast<std::size_t>(width) : 0, ' '), true);
    }
  }
  form.item_separator = Marked(form.multi_line ? "," : ", ", true);
  form.key_separator = Marked(": ", true);
  if (arguments.given(2)) {
    const auto separators = TRY(drain(in, arguments[2]));
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string())
      return in.error("tojson: separators need two strings");
    form.item_separator = separators[0].as_str().text;
    form.key_separator = separators[1].as_str().text;
  }
  TextBuilder out(in);
  TRY(print_json(in, out, subject, form));
  return out.value();
}

Result<Value> from_json(Interpreter& in, const Value& subject, Bound&) {
  const auto text = TRY(text_argument(in, subject));
  TRY(in.spend(text->text.size()));
  const auto json =
      parse_json(text->text.view(), {.max_bytes = max_json_bytes, .max_members = max_items});
  if (!json) return in.error(fmt::format("from_json: {}", json.error().message()));
  return value_of(in, *json);
}

Result<Value> filesizeformat(Interpreter& in, const Value& subject, Bound& arguments) {
  double bytes = 0;
  if (subject.is_number()) {
    bytes = subject.as_real();
  } else {
    const auto text = TRY(text_argument(in, subject));
    const auto real = parse_real(text->text.view());
    if (!real) return in.error("filesizeformat: could not convert string to float");
    bytes = *real;
  }
  const bool binary = truth_or(arguments, 0, false);
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return Value::text("1 Byte");
  if (!std::isfinite(bytes)) return in.error("filesizeformat: needs a finite number");
  if (bytes < base) return Value::text(fmt::format("{:.0f} Bytes", std::trunc(bytes)));
  static constexpr char prefixes[] = "kMGTPEZY";
  double unit = base;
  int i = 0;
  for (; i < 7 && bytes >= unit * base; ++i) unit *= base;
  const char prefix = binary && prefixes[i] == 'k' ? 'K' : prefixes[i];
  return Value::text(fmt::format("{:.1f} {}{}", bytes / unit, prefix, binary ? "iB" : "B"));
}

Result<Value> pprint(Interpreter& in, const Value& subject, Bound&) {
  TextBuilder out(in);
  TRY(print_pretty(in, out, subject));
  return out.value();
}

constexpr Signature table[] = {
    {"tojson", "? ensure_ascii indent separators sort_keys", tojson},
    {"string", "", string},
    {"default", "? default_value boolean", default_filter},
    {"d", "? default_value boolean", default_filter},
    {"int", "? default base", int_filter},
    {"float", "? default", float_filter},
    {"abs", "", abs_filter},
    {"round", "? precision method", round_filter},
    {"format", "*", format},
    {"attr", "name", attr},
    {"from_json", "", from_json},
    {"filesizeformat", "? binary", filesizeformat},
    {"pprint", "", pprint},
};

}  // namespace

std::span<const Signature> value_filters() { return table; }

}  // namespace hearth::jinja
