// Schemas as grammars of the JSON texts that satisfy them.
// Source: JSON Schema 2020-12, and draft 7 where it differs.
//
// Properties come in the order in which the schema names them, then others.  In strings that a
// pattern, an enum or a format describes only what must be escaped is.  A format that is not known
// is a remark.  What cannot be said as a grammar is refused by name, with its place, but for lists
// of different items, which lists.h reads: the grammar's lists() say where.
#pragma once

#include "text/grammar/grammar.h"
#include "text/grammar/json_text.h"

namespace hearth::grammar {

// Adds the rules for `schema`, and gives what stands for a value of it.  `text` belongs to
// `grammar`. Errors: invalid, unsupported, exhausted; "#/properties/a: contains: ...".
Result<ExprId> add_schema(Grammar& grammar, JsonText& text, const Json& schema);

// Of whole texts.
Result<Grammar> schema_grammar(const Json& schema);

}  // namespace hearth::grammar
