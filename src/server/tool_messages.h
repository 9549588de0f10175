// Calls of tools and their results, made to fit a model's chat template.
#pragma once

#include "base/json.h"
#include "library/tool_habits.h"

namespace hearth::server {

bool has_calls(const Json& messages);

// Arguments as the template wants them; results with the name of their tool; and ids of 9 letters
// and digits where the template takes no others.
Json fit_calls(Json messages, const ToolHabits& habits, bool has_short_ids);

// A new id: `prefix` and 24 letters and digits, or 9 alone.
std::string new_call_id(std::string_view prefix, bool is_short);

}  // namespace hearth::server
