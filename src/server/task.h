// Task: one request for text after its dialect is taken off.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "library/library.h"
#include "server/conversation.h"
#include "server/parameters.h"

namespace hearth::server {

struct Prompt {
  std::vector<Token> tokens;
  std::string echo;  // text to be given back before the answer; empty: none
};

// When a request does not say: enough for an answer, and an end to one that never ends.
constexpr std::int64_t chat_max_tokens = 4096;
constexpr std::int64_t completion_max_tokens = 16;  // OpenAI's own default

struct Task {
  Asked asked;
  std::vector<Prompt> prompts;
  std::string_view prompt_field = "messages";          // what a too long prompt is blamed on
  std::int64_t standard_max_tokens = chat_max_tokens;  // when `asked` does not say
  std::optional<std::int64_t> context_tokens;  // fewer than the model has: the request's wish
};

// The task of a conversation: the prompt is what the model's template makes of it.  Errors: those
// of chat_prompt, blamed on `prompt_field`.
Checked<Task> chat_task(const LoadedModel& loaded, ChatInput input, Asked asked,
                        std::string_view prompt_field = "messages");

// 400 unless the model generates text.
Check check_generates(const LoadedModel& loaded);

}  // namespace hearth::server
