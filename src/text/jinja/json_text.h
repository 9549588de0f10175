// JSON and template values.
#pragma once

#include "base/json.h"
#include "text/jinja/interpreter.h"

namespace hearth::jinja {

struct JsonForm {
  bool ascii_only = false, sort_keys = false;
  bool multi_line = false;  // with an indent, of nothing perhaps
  Marked indent;
  Marked item_separator, key_separator;
};

// json.dumps.  What comes from an input stays untrusted, with the punctuation of its containers.
Status print_json(Interpreter& in, TextBuilder& out, const Value& value, const JsonForm& form);

// A value of an input: all its strings are untrusted.  Invalid UTF-8 becomes U+FFFD.
Result<Value> value_of(Interpreter& in, const Json& json);

}  // namespace hearth::jinja
