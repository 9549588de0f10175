// Task: one request for text after its dialect is taken off.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "library/library.h"
#include "server/conversation.h"
#include "server/parameters.h"
#include "text/answer/held_answer.h"

namespace hearth::server {

struct Prompt {
  std::vector<Token> tokens;
  std::vector<PromptPicture> pictures = {};
  std::string echo;  // text to be given back before the answer; empty: none
};

// When a request does not say: enough for an answer, and an end to one that never ends.
constexpr std::int64_t chat_max_tokens = 4096;
constexpr std::int64_t completion_max_tokens = 16;  // OpenAI's own default

// How an answer is told apart into text, thoughts and calls.
struct Reading {
  AnswerForm form;
  Json tools;                // whose calls are looked for; null: none
  bool is_thinking = false;  // the prompt has begun a thought
  bool is_single = false;    // calls after the first are dropped
  std::string beginning;     // of the answer, which the prompt's end holds already
};

struct Task {
  Asked asked;
  std::vector<Prompt> prompts;
  std::string_view prompt_field = "messages";          // what a too long prompt is blamed on
  std::int64_t standard_max_tokens = chat_max_tokens;  // when `asked` does not say
  std::optional<std::int64_t> context_tokens;  // fewer than the model has: the request's wish
  std::optional<Reading> reading;              // nothing: the answer is text as it is
};

// 400 with the message: unsupported_value where one shows a picture to a model that does not see,
// invalid_value where a picture is not given as a data: URL.
Check check_pictures(const Model& model, const ChatInput& input);

// The prompt of a conversation, its calls and results made to fit the model's template.
Result<ChatPrompt> conversation_prompt(const Model& model, const ChatInput& input,
                                       bool opens_answer = true);

// The task of a conversation: the prompt is what the model's template makes of it.  Errors: those
// of chat_prompt, blamed on `prompt_field`; 400 for tools of a model that knows none, and for a
// forced call that it cannot be made to write.
Checked<Task> chat_task(const LoadedModel& loaded, ChatInput input, Asked asked,
                        std::string_view prompt_field = "messages");

// 400 unless the model generates text.
Check check_generates(const LoadedModel& loaded);

}  // namespace hearth::server
