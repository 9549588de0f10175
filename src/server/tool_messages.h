// Calls of tools and their results, made to fit a model's chat template.
#pragma once

#include "base/json.h"
#include "models/model.h"

namespace hearth::server {

// The template shows tools to the model.
bool knows_tools(const Model& model);

// Results get the name of their tool, and ids become 9 letters and digits where the template takes
// no others.
Json fit_calls(Json messages, bool has_short_ids);

// A new id: `prefix` and 24 letters and digits, or 9 alone.
std::string new_call_id(std::string_view prefix, bool is_short);

}  // namespace hearth::server
