// Walks over the syntax tree: which names and filters an expression or statement mentions.
#pragma once

#include <functional>

#include "text/jinja/ast.h"

namespace hearth::jinja {

// Every Name of an expression, in order of evaluation; the namespace of `ns.name = ` too.
void walk_names(Expression* expression, const std::function<void(Name&)>& visit);
// Every Step; `in_condition` inside of an inline if.
void walk_steps(Expression* expression, const std::function<void(const Step&, bool)>& visit);

// True if the body reads the name before it assigns to it, nested statements included.
bool reads_name(const Body& body, int name);
// True if the loop, or anything in it, assigns to the name.
bool writes_name(const For& loop, int name);

}  // namespace hearth::jinja
