// Links in text, and HTML entities.
#pragma once

#include "text/jinja/callables.h"

namespace hearth::jinja {

// The filter urlize: addresses become links.
Result<Value> urlize(Interpreter& in, const Value& subject, Bound& arguments);
// Entities become characters: numeric ones and the common names.
void append_unescaped(TextBuilder& out, const Marked& text);

}  // namespace hearth::jinja
