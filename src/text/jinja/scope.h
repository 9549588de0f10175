// Which variable every name means, found before anything runs.
// Source: Jinja2 3.1, "Assignments", "Scoping behaviour"; its compiler's frames: loops, macros,
// blocks, "with" and filter blocks have variables of their own, "if" has not.
#pragma once

#include "base/result.h"
#include "text/jinja/ast.h"

namespace hearth::jinja {

// Gives each Name its Reference and each scope its loads.  Errors: an unknown filter or test
// outside of a condition, an assignment to "loop", a break outside of a loop.
Status resolve_names(Program& program);

}  // namespace hearth::jinja
