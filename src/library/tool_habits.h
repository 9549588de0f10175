// How a model's chat template wants a conversation with tools, found by trying.
#pragma once

#include "models/model.h"

namespace hearth {

struct ToolHabits {
  bool wants_text_arguments = false;  // of calls: JSON as a text, not an object
  bool wants_empty_content = false;   // "" beside calls, not null
};

// The template shows tools to the model.
bool knows_tools(const Model& model);
ToolHabits find_tool_habits(const Model& model);

}  // namespace hearth
