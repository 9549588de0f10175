// Tests: what may follow "is".  Source: Jinja2 3.1, "List of Builtin Tests".
#include <fmt/core.h>

#include "text/jinja/callables.h"
#include "text/jinja/operators.h"
#include "text/jinja/printing.h"
#include "text/jinja/text_ops.h"

namespace hearth::jinja {
namespace {

template <Operator Op>
Result<Value> comparison(Interpreter& in, const Value& subject, Bound& arguments) {
  return Value::boolean(TRY(compare(in, Op, subject, arguments[0])));
}

// One that looks at the value alone.
template <bool (*Holds)(const Value&)>
Result<Value> simple(Interpreter&, const Value& subject, Bound&) {
  return Value::boolean(Holds(subject));
}

bool is_defined(const Value& v) { return !v.is_undefined(); }
bool is_undefined(const Value& v) { return v.is_undefined(); }
bool is_none(const Value& v) { return v.is_none(); }
bool is_boolean(const Value& v) { return v.kind() == Kind::boolean; }
bool is_true(const Value& v) { return is_boolean(v) && v.as_boolean(); }
bool is_false(const Value& v) { return is_boolean(v) && !v.as_boolean(); }
bool is_integer(const Value& v) { return v.kind() == Kind::integer; }
bool is_float(const Value& v) { return v.kind() == Kind::real; }
bool is_number(const Value& v) { return v.is_number(); }
bool is_string(const Value& v) { return v.is_string(); }
bool is_mapping(const Value& v) { return v.kind() == Kind::dict; }
bool is_escaped(const Value& v) { return v.is_string() && v.as_str().markup; }
// An undefined value takes part in everything until it is looked at, in calls too.
bool is_callable(const Value& v) {
  return v.is_undefined() || (v.kind() == Kind::thing && v.as_thing().callable());
}
bool is_sequence(const Value& v) {
  return v.is_string() || v.is_sequence() || v.kind() == Kind::dict ||
         (v.kind() == Kind::thing && v.as_thing().subscriptable());
}

Result<Value> undefined_sequence(Interpreter&, const Value& subject, Bound&) {
  return Value::boolean(subject.is_undefined() || is_sequence(subject));
}
Result<Value> iterable(Interpreter&, const Value& subject, Bound&) {
  return Value::boolean(is_iterable(subject));
}

Result<bool> remainder_is(Interpreter& in, const Value& subject, const Value& divisor,
                          std::int64_t wanted) {
  const Value rest = TRY(arithmetic(in, Operator::modulo, subject, divisor));
  return equal(in, rest, Value::integer(wanted));
}
Result<Value> odd(Interpreter& in, const Value& subject, Bound&) {
  return Value::boolean(TRY(remainder_is(in, subject, Value::integer(2), 1)));
}
Result<Value> even(Interpreter& in, const Value& subject, Bound&) {
  return Value::boolean(TRY(remainder_is(in, subject, Value::integer(2), 0)));
}
Result<Value> divisibleby(Interpreter& in, const Value& subject, Bound& arguments) {
  return Value::boolean(TRY(remainder_is(in, subject, arguments[0], 0)));
}

Result<Value> case_is(Interpreter& in, const Value& subject, std::string_view method) {
  const Value text = TRY(to_string(in, subject));
  return invoke(in, *find_string_method(method), text, {});
}
Result<Value> is_lower_text(Interpreter& in, const Value& subject, Bound&) {
  return case_is(in, subject, "islower");
}
Result<Value> is_upper_text(Interpreter& in, const Value& subject, Bound&) {
  return case_is(in, subject, "isupper");
}

Result<Value> is_filter(Interpreter&, const Value& subject, Bound&) {
  return Value::boolean(subject.is_string() && find_filter(subject.view()));
}
Result<Value> is_test(Interpreter&, const Value& subject, Bound&) {
  return Value::boolean(subject.is_string() && find_test(subject.view()));
}

// The same object, as far as values have an identity: scalars are the same when they are equal.
Result<Value> sameas(Interpreter& in, const Value& subject, Bound& arguments) {
  const Value& other = arguments[0];
  if (subject.kind() != other.kind()) return Value::boolean(false);
  if (subject.kind() < Kind::string) return Value::boolean(TRY(equal(in, subject, other)));
  if (subject.is_string()) return Value::boolean(subject.view() == other.view());
  return Value::boolean(subject.object() == other.object());
}

Result<Value> in_test(Interpreter& in, const Value& subject, Bound& arguments) {
  return Value::boolean(TRY(contains(in, arguments[0], subject)));
}

constexpr Signature table[] = {
    {"defined", "", simple<is_defined>},
    {"undefined", "", simple<is_undefined>},
    {"none", "", simple<is_none>},
    {"string", "", simple<is_string>},
    {"mapping", "", simple<is_mapping>},
    {"iterable", "", iterable},
    {"sequence", "", undefined_sequence},
    {"true", "", simple<is_true>},
    {"false", "", simple<is_false>},
    {"boolean", "", simple<is_boolean>},
    {"integer", "", simple<is_integer>},
    {"float", "", simple<is_float>},
    {"number", "", simple<is_number>},
    {"callable", "", simple<is_callable>},
    {"escaped", "", simple<is_escaped>},
    {"odd", "", odd},
    {"even", "", even},
    {"divisibleby", "num", divisibleby},
    {"lower", "", is_lower_text},
    {"upper", "", is_upper_text},
    {"filter", "", is_filter},
    {"test", "", is_test},
    {"sameas", "other", sameas},
    {"in", "seq", in_test},
    {"==", "/other", comparison<Operator::equal>},
    {"eq", "/other", comparison<Operator::equal>},
    {"equalto", "/other", comparison<Operator::equal>},
    {"!=", "/other", comparison<Operator::not_equal>},
    {"ne", "/other", comparison<Operator::not_equal>},
    {">", "/other", comparison<Operator::greater>},
    {"gt", "/other", comparison<Operator::greater>},
    {"greaterthan", "/other", comparison<Operator::greater>},
    {">=", "/other", comparison<Operator::greater_equal>},
    {"ge", "/other", comparison<Operator::greater_equal>},
    {"<", "/other", comparison<Operator::less>},
    {"lt", "/other", comparison<Operator::less>},
    {"lessthan", "/other", comparison<Operator::less>},
    {"<=", "/other", comparison<Operator::less_equal>},
    {"le", "/other", comparison<Operator::less_equal>},
};

}  // namespace

std::span<const Signature> tests() { return table; }

}  // namespace hearth::jinja
