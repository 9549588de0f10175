// What str.format and the % operator share: how one value is laid out.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/interpreter.h"

namespace hearth::jinja {

constexpr int max_precision = 300;

// Source: Python 3.11, "Format Specification Mini-Language".
struct FormatSpec {
  std::string fill = " ";  // one code point
  char align = '\0';       // '<', '>', '^', '='; 0: as the type wants
  char sign = '-';         // '-', '+', ' '
  bool alternate = false;
  char grouping = '\0';  // ',' or '_'
  std::int64_t width = 0;
  int precision = -1;
  char type = '\0';
};

// A number in `type` (d b o x X n, or e E f F g G %, or 0 as str() has it), with sign and prefix
// apart from the digits, so that zeros can go between.
struct NumberText {
  std::string sign, digits;
};
NumberText integer_digits(std::int64_t value, const FormatSpec& spec);
NumberText real_digits(double value, const FormatSpec& spec);

// %c and {:c}: the character of an integral value; error: no code point.
Result<Value> character_of(Interpreter& in, const Value& value);

// sign and digits with fill up to the width; error: wider than a text may be.
Status append_number(Interpreter& in, TextBuilder& out, const NumberText& number,
                     const FormatSpec& spec, bool trusted);
// At most `precision` characters, with fill up to the width.
Status append_text(Interpreter& in, TextBuilder& out, const Str& text, const FormatSpec& spec,
                   char default_align);

}  // namespace hearth::jinja
