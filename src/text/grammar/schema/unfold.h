// Dynamic references written out: "$dynamicRef" and "$recursiveRef" mean what the way by which they
// are reached says, so what they stand in is copied for every such way.
// Source: JSON Schema 2020-12 core, section 8.2.3.2; 2019-09, section 8.2.4.2.2.
#pragma once

#include "text/grammar/schema/document.h"

namespace hearth::grammar {

// An equal schema with none but plain references, all of them to its "$defs".
// Errors: those of Document::target; exhausted: too many copies.
Result<Json> unfolded(Document& document);

}  // namespace hearth::grammar
