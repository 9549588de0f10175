// Operators on values, with Python's meaning.  An integer that passes 64 bits is an error.
#pragma once

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/value.h"

namespace hearth::jinja {

class Interpreter;
class TextBuilder;
struct Arguments;

// Error: using an undefined value.
Error undefined_error(Interpreter& in, const Value& value);

bool truth(const Value& value);
Result<Value> arithmetic(Interpreter& in, Operator op, const Value& left, const Value& right);
Result<Value> negate(Interpreter& in, const Value& value, bool minus);
Result<bool> compare(Interpreter& in, Operator op, const Value& left, const Value& right);
Result<bool> equal(Interpreter& in, const Value& left, const Value& right);
Result<bool> less(Interpreter& in, const Value& left, const Value& right);
Result<bool> contains(Interpreter& in, const Value& container, const Value& item);
// A key of a dict is paid for before it is looked up or put in.
Status pay_key(Interpreter& in, const Value& key);
Status check_key(Interpreter& in, const Value& key);  // error: it cannot be hashed
Result<std::int64_t> length(Interpreter& in, const Value& value);

// a.name and a[key] as Jinja reads them: the one, then the other, then undefined.
Result<Value> attribute(Interpreter& in, const Value& value, std::string_view name);
Result<Value> item(Interpreter& in, const Value& value, const Value& key);
Result<Value> slice(Interpreter& in, const Value& value, const Value& start, const Value& stop,
                    const Value& step);

// Text operations the operators share with methods and filters.
Result<Value> concatenate(Interpreter& in, const Value& left, const Value& right);
Result<Value> repeat(Interpreter& in, const Value& value, std::int64_t times);
// printf-style: text % values.
Result<Value> format_percent(Interpreter& in, const Str& format, const Value& values);
// str.format.
Result<Value> format_braces(Interpreter& in, const Str& format, const Arguments& arguments);
void append_escaped(TextBuilder& out, const Str& text);  // for HTML, unless it is markup
Result<Value> escaped(Interpreter& in, const Str& text);

Value absent_hint(std::string hint);
Value absent_attribute(const Value& of, std::string_view name);
Value absent_element(Interpreter& in, const Value& of, const Value& key);
Value absent_variable(std::string_view name);
Value absent_unsafe(const Value& of, std::string_view name);

}  // namespace hearth::jinja
