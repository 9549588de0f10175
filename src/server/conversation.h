// The messages and tools of a chat request, checked and made regular for the template.
#pragma once

#include "base/json.h"
#include "server/errors.h"

namespace hearth::server {

struct ChatInput {
  Json messages = Json::array();    // contents are texts
  Json tools;                       // null: none
  Json variables = Json::object();  // of the template
  std::string warning;              // what was left out
};

// Errors: 400 that names the field; 400 unsupported_value for images, audio, files, and for a
// tool_choice that would have to constrain the answer.
Checked<ChatInput> read_chat_input(const Json& body);

}  // namespace hearth::server
