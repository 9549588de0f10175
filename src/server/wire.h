// How answers look on the wire.  Source: OpenAI API reference, the objects chat.completion,
// chat.completion.chunk and text_completion.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/runner.h"
#include "server/parameters.h"

namespace hearth::server {

// What every object of one answer says about it.
struct AnswerFrame {
  Dialect dialect = Dialect::chat;
  std::string id, model;
  std::int64_t created = 0;
  std::optional<std::int64_t> lowered_max_tokens;  // max_tokens had to be lowered to this
  bool has_usage = false;                          // chunks say "usage": null until the last one
};

// The text of one choice, whole or a part.
struct AnswerPart {
  int index = 0;
  std::string_view text;
  const std::vector<TokenInfo>* tokens = nullptr;  // nullptr: no log probabilities asked
  std::size_t text_offset = 0;                     // of the first token (completions)
  bool starts_prompt = false;                      // the first token has nothing before it
  std::optional<FinishReason> finish;
  bool is_first = false;  // of its choice (chat: names the role)
};

std::string_view name_of(FinishReason reason);

// One event of a stream: "data: {...}\n\n".
std::string chunk(const AnswerFrame& frame, const AnswerPart& part, const Tokenizer& tokenizer);
std::string usage_chunk(const AnswerFrame& frame, const Usage& usage);

// The whole answer.
std::string answer(const AnswerFrame& frame, const std::vector<AnswerPart>& choices,
                   const Usage& usage, const Tokenizer& tokenizer);

}  // namespace hearth::server
