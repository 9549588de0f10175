// How values print: str() and repr() of Python.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "text/jinja/value.h"

namespace hearth::jinja {

class Interpreter;
class TextBuilder;

// 'text' as repr prints it: quoted, with escapes.
std::string quoted(std::string_view text, bool ascii_only = false);
// The shortest digits that read back as the same double: 1.0, 1e+16, nan.
std::string real_text(double value);

// str(): strings as they are, undefined as nothing.  What comes from an input stays untrusted.
Status print(Interpreter& in, TextBuilder& out, const Value& value);
// repr().
Status print_quoted(Interpreter& in, TextBuilder& out, const Value& value, bool ascii_only = false);
// str() as a value; strings are returned as they are, without their markup flag.
Result<Value> to_string(Interpreter& in, const Value& value);
// pprint.pformat.
Status print_pretty(Interpreter& in, TextBuilder& out, const Value& value);

}  // namespace hearth::jinja
