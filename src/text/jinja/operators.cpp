#include "text/jinja/operators.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/interpreter.h"
#include "text/jinja/printing.h"
#include "text/jinja/text_ops.h"

namespace hearth::jinja {
namespace {

std::string_view symbol(Operator op) {
  static constexpr std::string_view symbols[] = {"+",  "-",           "*",  "/",  "//",
                                                 "%",  "** or pow()", "==", "!=", "<",
                                                 "<=", ">",           ">=", "in", "not in"};
  return symbols[static_cast<std::size_t>(op)];
}

Error unsupported(Interpreter& in, Operator op, const Value& left, const Value& right) {
  return in.error(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", symbol(op),
                              type_name(left), type_name(right)));
}

Error too_large(Interpreter& in) { return in.error("an integer of more than 64 bits"); }

Result<Value> integer_power(Interpreter& in, std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return in.error("0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) return too_large(in);
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) {
      return too_large(in);
    }
  }
  return Value::integer(result);
}

// Division and remainder round towards minus infinity.
Result<Value> integer_division(Interpreter& in, Operator op, std::int64_t a, std::int64_t b) {
  if (b == 0) return in.error("integer division or modulo by zero");
  if (b == -1) {
    if (op == Operator::modulo) return Value::integer(0);
    std::int64_t negated = 0;
    if (__builtin_sub_overflow(std::int64_t{0}, a, &negated)) return too_large(in);
    return Value::integer(negated);
  }
  std::int64_t quotient = a / b, remainder = a % b;
  if (remainder != 0 && (remainder < 0) != (b < 0)) {
    --quotient;
    remainder += b;
  }
  return Value::integer(op == Operator::modulo ? remainder : quotient);
}

Result<Value> integers(Interpreter& in, Operator op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (op) {
    case Operator::add:
      if (__builtin_add_overflow(a, b, &result)) return too_large(in);
      return Value::integer(result);
    case Operator::subtract:
      if (__builtin_sub_overflow(a, b, &result)) return too_large(in);
      return Value::integer(result);
    case Operator::multiply:
      if (__builtin_mul_overflow(a, b, &result)) return too_large(in);
      return Value::integer(result);
    case Operator::divide:
      if (b == 0) return in.error("division by zero");
      return Value::real(static_cast<double>(a) / static_cast<double>(b));
    case Operator::power:
      return integer_power(in, a, b);
    default:
      return integer_division(in, op, a, b);
  }
}

Result<Value> reals(Interpreter& in, Operator op, double a, double b) {
  switch (op) {
    case Operator::add:
      return Value::real(a + b);
    case Operator::subtract:
      return Value::real(a - b);
    case Operator::multiply:
      return Value::real(a * b);
    case Operator::divide:
      if (b == 0) return in.error("float division by zero");
      return Value::real(a / b);
    case Operator::power: {
      if (a == 0 && b < 0) return in.error("0.0 cannot be raised to a negative power");
      if (a < 0 && b != std::floor(b)) return in.error("complex numbers are not offered");
      const double power = std::pow(a, b);
      if (std::isinf(power) && std::isfinite(a) && std::isfinite(b))
        return in.error("a number too large");
      return Value::real(power);
    }
    default:
      break;
  }
  if (b == 0)
    return in.error(op == Operator::modulo ? "float modulo" : "float floor division by zero");
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
  if (op == Operator::modulo)
    return Value::real(remainder == 0 ? std::copysign(0.0, b) : remainder);
  const double quotient = (a - remainder) / b;
  const double whole = std::floor(quotient);
  return Value::real(quotient - whole > 0.5 ? whole + 1 : whole);
}

Result<Value> join_sequences(Interpreter& in, const Value& left, const Value& right) {
  const auto &a = left.as_sequence().items, &b = right.as_sequence().items;
  TRY(in.spend(a.size() + b.size()));
  std::vector<Value> items;
  items.reserve(a.size() + b.size());
  items.insert(items.end(), a.begin(), a.end());
  items.insert(items.end(), b.begin(), b.end());
  return left.kind() == Kind::list ? in.list(std::move(items)) : in.tuple(std::move(items));
}

// -1, 0, 1 by element; what is first decides.
Result<bool> less_sequences(Interpreter& in, const Sequence& a, const Sequence& b) {
  const std::size_t shared = std::min(a.items.size(), b.items.size());
  for (std::size_t i = 0; i < shared; ++i) {
    if (TRY(equal(in, a.items[i], b.items[i]))) continue;
    return less(in, a.items[i], b.items[i]);
  }
  return a.items.size() < b.items.size();
}

// What it takes to hash a key and compare it once; the key can be hashed.
std::uint64_t key_units(const Value& key) {
  if (key.is_string()) return key.view().size() / bytes_per_unit;
  std::uint64_t units = 1;
  if (key.kind() == Kind::tuple)
    for (const Value& part : key.as_sequence().items) units += key_units(part);
  return units;
}

Result<bool> equal_dicts(Interpreter& in, const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& entry : a.entries) {
    const Value* other = b.find(entry.key);
    if (!other || !TRY(equal(in, entry.value, *other))) return false;
  }
  return true;
}

Result<bool> equal_sequences(Interpreter& in, const Sequence& a, const Sequence& b) {
  if (a.items.size() != b.items.size()) return false;
  for (std::size_t i = 0; i < a.items.size(); ++i)
    if (!TRY(equal(in, a.items[i], b.items[i]))) return false;
  return true;
}

}  // namespace

Value absent_hint(std::string hint) {
  const auto absence = make<Absence>();
  absence->name = std::move(hint);
  return Value::undefined(absence);
}

Value absent_variable(std::string_view name) {
  const auto absence = make<Absence>();
  absence->form = Absence::Form::variable;
  absence->name = std::string(name);
  return Value::undefined(absence);
}

Value absent_attribute(const Value& of, std::string_view name) {
  const auto absence = make<Absence>();
  absence->form = Absence::Form::attribute;
  absence->name = std::string(name);
  absence->of = object_name(of);
  return Value::undefined(absence);
}

Value absent_unsafe(const Value& of, std::string_view name) {
  const auto absence = make<Absence>();
  absence->form = Absence::Form::unsafe;
  absence->name = std::string(name);
  absence->of = std::string(type_name(of));
  return Value::undefined(absence);
}

Value absent_element(Interpreter& in, const Value& of, const Value& key) {
  const auto absence = make<Absence>();
  absence->form = Absence::Form::element;
  absence->of = object_name(of);
  TextBuilder text(in);
  // What is too long to print is not needed in an error.
  if (print_quoted(in, text, key).ok() && text.size() < 200) absence->name = text.text().view();
  return Value::undefined(absence);
}

Error undefined_error(Interpreter& in, const Value& value) {
  const Absence* absence = value.absence();
  return in.error(absence ? absence->message() : "an undefined value");
}

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
    case Kind::integer:
      return value.as_integer() != 0;
    case Kind::real:
      return value.as_real() != 0;
    case Kind::string:
      return !value.as_str().text.empty();
    case Kind::list:
    case Kind::tuple:
      return !value.as_sequence().items.empty();
    case Kind::dict:
      return !value.as_dict().entries.empty();
    case Kind::thing:
      return value.as_thing().truth();
  }
  return false;
}

Result<Value> concatenate(Interpreter& in, const Value& left, const Value& right) {
  const Str &a = left.as_str(), &b = right.as_str();
  const bool markup = a.markup || b.markup;
  TextBuilder out(in);
  if (markup && !a.markup)
    append_escaped(out, a);
  else
    out.append(a);
  if (markup && !b.markup)
    append_escaped(out, b);
  else
    out.append(b);
  return out.value(markup);
}

Result<Value> repeat(Interpreter& in, const Value& value, std::int64_t times) {
  const std::size_t count = times > 0 ? static_cast<std::size_t>(times) : 0;
  if (value.is_string()) {
    const Str& text = value.as_str();
    if (!text.text.empty() && count > in.limits().text_bytes / text.text.size())
      return in.error(
          fmt::format("a text of more than {} bytes (limit output_bytes)", in.limits().text_bytes));
    TextBuilder out(in);
    if (!text.text.empty())
      for (std::size_t i = 0; i < count; ++i) out.append(text);
    return out.value(text.markup);
  }
  const auto& items = value.as_sequence().items;
  if (!items.empty() && count > max_items / items.size())
    return in.error(fmt::format("a list of more than {} items", max_items));
  TRY(in.spend(items.size() * count));
  std::vector<Value> made;
  made.reserve(items.size() * count);
  if (!items.empty())
    for (std::size_t i = 0; i < count; ++i) made.insert(made.end(), items.begin(), items.end());
  return value.kind() == Kind::list ? in.list(std::move(made)) : in.tuple(std::move(made));
}

Result<Value> arithmetic(Interpreter& in, Operator op, const Value& left, const Value& right) {
  if (left.is_undefined()) return undefined_error(in, left);
  // A string formats anything with %, undefined values included.
  if (op == Operator::modulo && left.is_string()) return format_percent(in, left.as_str(), right);
  if (right.is_undefined()) return undefined_error(in, right);
  if (left.is_number() && right.is_number()) {
    if (left.is_integral() && right.is_integral())
      return integers(in, op, left.as_integer(), right.as_integer());
    return reals(in, op, left.as_real(), right.as_real());
  }
  if (op == Operator::add) {
    if (left.is_string() && right.is_string()) return concatenate(in, left, right);
    if (left.is_sequence() && left.kind() == right.kind()) return join_sequences(in, left, right);
    if (left.is_string())
      return in.error(
          fmt::format("can only concatenate str (not \"{}\") to str", type_name(right)));
    if (left.is_sequence())
      return in.error(fmt::format("can only concatenate {0} (not \"{1}\") to {0}", type_name(left),
                                  type_name(right)));
  }
  if (op == Operator::multiply) {
    if ((left.is_string() || left.is_sequence()) && right.is_integral())
      return repeat(in, left, right.as_integer());
    if ((right.is_string() || right.is_sequence()) && left.is_integral())
      return repeat(in, right, left.as_integer());
  }
  return unsupported(in, op, left, right);
}

Result<Value> negate(Interpreter& in, const Value& value, bool minus) {
  if (value.is_undefined()) return undefined_error(in, value);
  if (value.is_integral()) {
    std::int64_t negated = value.as_integer();
    if (minus && __builtin_sub_overflow(std::int64_t{0}, negated, &negated)) return too_large(in);
    return Value::integer(negated);
  }
  if (value.kind() == Kind::real) return Value::real(minus ? -value.as_real() : value.as_real());
  return in.error(
      fmt::format("bad operand type for unary {}: '{}'", minus ? '-' : '+', type_name(value)));
}

Result<bool> equal(Interpreter& in, const Value& left, const Value& right) {
  TRY(in.spend(1));
  if (left.is_number() && right.is_number()) return same_key(left, right);
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::string:
      TRY(in.spend(std::min(left.view().size(), right.view().size()) / 1024));
      return left.view() == right.view();
    case Kind::list:
    case Kind::tuple: {
      if (left.object() == right.object()) return true;
      const Interpreter::Nest nest(in);
      TRY(nest.check());
      return equal_sequences(in, left.as_sequence(), right.as_sequence());
    }
    case Kind::dict: {
      if (left.object() == right.object()) return true;
      const Interpreter::Nest nest(in);
      TRY(nest.check());
      return equal_dicts(in, left.as_dict(), right.as_dict());
    }
    case Kind::thing:
      return left.object() == right.object();
    default:
      return true;
  }
}

Status pay_key(Interpreter& in, const Value& key) {
  if (key.is_string()) return in.spend(key.view().size() / bytes_per_unit);
  if (key.kind() == Kind::tuple && hash_of(key)) return in.spend(key_units(key));
  return Done{};
}

Status check_key(Interpreter& in, const Value& key) {
  if (!hash_of(key)) return in.error(fmt::format("unhashable type: '{}'", type_name(key)));
  return pay_key(in, key);
}

Result<bool> less(Interpreter& in, const Value& left, const Value& right) {
  TRY(in.spend(1));
  if (left.is_undefined()) return undefined_error(in, left);
  if (right.is_undefined()) return undefined_error(in, right);
  if (left.is_number() && right.is_number()) {
    if (left.is_integral() && right.is_integral()) return left.as_integer() < right.as_integer();
    return left.as_real() < right.as_real();
  }
  // The order of UTF-8 bytes is the order of code points.
  if (left.is_string() && right.is_string()) {
    TRY(in.spend(std::min(left.view().size(), right.view().size()) / 1024));
    return left.view() < right.view();
  }
  if (left.is_sequence() && left.kind() == right.kind()) {
    const Interpreter::Nest nest(in);
    TRY(nest.check());
    return less_sequences(in, left.as_sequence(), right.as_sequence());
  }
  return in.error(fmt::format("'<' not supported between instances of '{}' and '{}'",
                              type_name(left), type_name(right)));
}

Result<bool> compare(Interpreter& in, Operator op, const Value& left, const Value& right) {
  switch (op) {
    case Operator::equal:
      return equal(in, left, right);
    case Operator::not_equal:
      return !TRY(equal(in, left, right));
    case Operator::in:
      return contains(in, right, left);
    case Operator::not_in:
      return !TRY(contains(in, right, left));
    default:
      break;
  }
  const bool unordered = (left.kind() == Kind::real && std::isnan(left.as_real())) ||
                         (right.kind() == Kind::real && std::isnan(right.as_real()));
  switch (op) {
    case Operator::less:
      return less(in, left, right);
    case Operator::greater:
      return less(in, right, left);
    case Operator::less_equal: {
      const bool more = TRY(less(in, right, left));
      return !more && !unordered;
    }
    default: {
      const bool fewer = TRY(less(in, left, right));
      return !fewer && !unordered;
    }
  }
}

Result<bool> contains(Interpreter& in, const Value& container, const Value& item) {
  if (container.is_string()) {
    if (!item.is_string())
      return in.error(
          fmt::format("'in <string>' requires string as left operand, not {}", type_name(item)));
    TRY(in.spend(container.view().size() / bytes_per_unit));
    return find_first(container.view(), item.view()) != nowhere;
  }
  if (container.kind() == Kind::dict) {
    TRY(check_key(in, item));
    return container.as_dict().find(item) != nullptr;
  }
  if (!is_iterable(container))
    return in.error(fmt::format("argument of type '{}' is not iterable", type_name(container)));
  const auto items = TRY(iterate(in, container));
  for (Value value; TRY(items->next(in, value));)
    if (TRY(equal(in, value, item))) return true;
  return false;
}

Result<std::int64_t> length(Interpreter& in, const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return static_cast<std::int64_t>(value.as_str().points());
    case Kind::list:
    case Kind::tuple:
      return static_cast<std::int64_t>(value.as_sequence().items.size());
    case Kind::dict:
      return static_cast<std::int64_t>(value.as_dict().entries.size());
    case Kind::thing:
      if (const auto known = value.as_thing().length()) return static_cast<std::int64_t>(*known);
      break;
    default:
      break;
  }
  return in.error(fmt::format("object of type '{}' has no len()", type_name(value)));
}

}  // namespace hearth::jinja
