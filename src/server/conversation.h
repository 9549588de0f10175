// The messages and tools of a chat request, checked and made regular for the template.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/errors.h"
#include "server/tools/wish.h"

namespace hearth::server {

struct ToolChoice {
  bool is_forced = false;  // the answer must call a tool
  std::string name;        // this one; empty: any
  bool is_single = false;  // no second call in one answer
};

// What of a prompt that is too long may go.
enum class Truncation {
  disabled,  // nothing: that is an error
  turns,     // "auto": the oldest turns
  window,    // the oldest turns, then the middle of long texts
};
// Errors: 400 for another word.
Checked<Truncation> read_truncation(const Json& body);

struct ChatInput {
  Json messages = Json::array();  // contents are texts, or texts and pictures
  Json tools;                     // null: none
  ToolChoice choice;
  Json variables = Json::object();  // of the template
  std::string warning;              // what was left out
  std::vector<ToolWish> wishes;     // servers whose tools are to run here
  bool forbids_tools = false;       // tool_choice is none
  Truncation truncation = Truncation::disabled;
  std::optional<std::int64_t> context_tokens;  // fewer than the model has: the request's wish
};

// What is forced is among the tools.
bool is_chosen(const ChatInput& input);

// Errors: 400 that names the field; 400 unsupported_value for audio and files.
Checked<ChatInput> read_chat_input(const Json& body);

}  // namespace hearth::server
