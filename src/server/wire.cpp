#include "server/wire.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "base/json.h"
#include "base/utf8.h"

namespace hearth::server {
namespace {

// Tokens are made by the thousand a second: their objects are written without a Json in between.

void append_text(std::string& out, std::string_view text) { append_json_string(out, text); }

void append_number(std::string& out, float value) { out += write_json(Json(value)); }

void append_bytes(std::string& out, std::string_view bytes) {
  out += '[';
  for (std::size_t i = 0; i < bytes.size(); ++i)
    fmt::format_to(std::back_inserter(out), "{}{}", i ? "," : "",
                   static_cast<unsigned>(static_cast<unsigned char>(bytes[i])));
  out += ']';
}

void append_chat_token(std::string& out, std::string_view bytes, float logprob) {
  out += "{\"token\":";
  append_text(out, bytes);
  out += ",\"logprob\":";
  append_number(out, logprob);
  out += ",\"bytes\":";
  append_bytes(out, bytes);
}

void append_token_logprobs(std::string& out, const std::vector<TokenInfo>& tokens,
                           const Tokenizer& tokenizer) {
  out += '[';
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const TokenInfo& token = tokens[i];
    if (i) out += ',';
    append_chat_token(out, token.bytes, token.logprob);
    out += ",\"top_logprobs\":[";
    for (std::size_t k = 0; k < token.alternatives.size(); ++k) {
      if (k) out += ',';
      const TokenLogprob& other = token.alternatives[k];
      append_chat_token(out, tokenizer.piece(other.token, true), other.logprob);
      out += '}';
    }
    out += "]}";
  }
  out += ']';
}

// Two tokens may repair to the same text: the likelier one, which comes first, keeps the name.
void append_alternatives(std::string& out, const TokenInfo& token, const Tokenizer& tokenizer) {
  std::vector<std::string> seen;
  out += '{';
  for (const TokenLogprob& other : token.alternatives) {
    std::string text = repair_utf8(tokenizer.piece(other.token, true));
    if (std::find(seen.begin(), seen.end(), text) != seen.end()) continue;
    if (!seen.empty()) out += ',';
    append_text(out, text);
    out += ':';
    append_number(out, other.logprob);
    seen.push_back(std::move(text));
  }
  out += '}';
}

void append_text_logprobs(std::string& out, const AnswerPart& part, const Tokenizer& tokenizer) {
  std::string texts, numbers, alternatives, offsets;
  std::size_t offset = part.text_offset;
  for (std::size_t i = 0; i < part.tokens->size(); ++i) {
    const TokenInfo& token = (*part.tokens)[i];
    const bool is_unscored = part.starts_prompt && i == 0;
    for (std::string* list : {&texts, &numbers, &alternatives, &offsets})
      if (i) *list += ',';
    append_text(texts, token.bytes);
    if (is_unscored) {
      numbers += "null";
      alternatives += "null";
    } else {
      append_number(numbers, token.logprob);
      append_alternatives(alternatives, token, tokenizer);
    }
    offsets += fmt::format("{}", offset);
    offset += token.bytes.size();
  }
  out += fmt::format(
      "{{\"tokens\":[{}],\"token_logprobs\":[{}],\"top_logprobs\":[{}],"
      "\"text_offset\":[{}]}}",
      texts, numbers, alternatives, offsets);
}

void append_finish(std::string& out, const AnswerPart& part) {
  out += ",\"finish_reason\":";
  if (part.finish)
    out += *part.finish == FinishReason::length ? "\"length\""
           : part.calls && !part.calls->empty() ? "\"tool_calls\""
                                                : "\"stop\"";
  else
    out += "null";
  out += '}';
}

std::string usage_json(const AnswerFrame& frame, const Usage& usage) {
  const std::string lowered =
      frame.lowered_max_tokens ? fmt::format(",\"max_tokens\":{}", *frame.lowered_max_tokens) : "";
  const std::string predicted =
      frame.is_predicted ? fmt::format(
                               ",\"accepted_prediction_tokens\":{},"
                               "\"rejected_prediction_tokens\":{}",
                               usage.guessed_right, usage.guessed_tokens - usage.guessed_right)
                         : "";
  return fmt::format(
      "{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{},"
      "\"prompt_tokens_details\":{{\"cached_tokens\":{},\"cache_end\":\"{}\"}},"
      "\"completion_tokens_details\":{{\"reasoning_tokens\":{}{}}}{}}}",
      usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens + usage.completion_tokens,
      usage.cached_tokens, name_of(usage.prefix_end), frame.thought_tokens, predicted, lowered);
}

class OpenAiEncoder final : public Encoder {
 public:
  OpenAiEncoder(Dialect dialect, bool include_usage, const Tokenizer& tokenizer)
      : is_chat_(dialect == Dialect::chat), include_usage_(include_usage), tokenizer_(tokenizer) {}

  StreamForm stream_form(const AnswerFrame&) const override {
    return {"text/event-stream; charset=utf-8", ": ping\n\n"};
  }
  std::string part(const AnswerFrame& frame, const AnswerPart& part) override;
  std::string end(const AnswerFrame& frame, const Usage& usage) override;
  std::string failure(const AnswerFrame&, const http::Problem& problem) override {
    // No [DONE] after an error: the answer is not whole.
    return fmt::format("data: {}\n\n", http::error_json(problem));
  }
  std::string whole(const AnswerFrame& frame, const std::vector<AnswerPart>& choices,
                    const Usage& usage) override;

 private:
  std::string opening(const AnswerFrame& frame, std::string_view chat_object) const;
  void append_delta(std::string& out, const AnswerPart& part) const;
  void append_message(std::string& out, const AnswerPart& part) const;
  void append_logprobs(std::string& out, const AnswerPart& part) const;

  const bool is_chat_, include_usage_;
  const Tokenizer& tokenizer_;
};

std::string OpenAiEncoder::opening(const AnswerFrame& frame, std::string_view chat_object) const {
  std::string out = is_chat_ ? "{\"id\":\"chatcmpl-" : "{\"id\":\"cmpl-";
  out += fmt::format("{}\",\"object\":\"{}\",\"created\":{},\"model\":", frame.id,
                     is_chat_ ? chat_object : "text_completion", frame.created);
  append_text(out, frame.model);
  out += ",\"system_fingerprint\":\"hearth-" HEARTH_VERSION "\",\"choices\":[";
  return out;
}

void OpenAiEncoder::append_logprobs(std::string& out, const AnswerPart& part) const {
  out += ",\"logprobs\":";
  if (!part.tokens) {
    out += "null";
  } else if (is_chat_) {
    out += "{\"content\":";
    append_token_logprobs(out, *part.tokens, tokenizer_);
    out += ",\"refusal\":null}";
  } else {
    append_text_logprobs(out, part, tokenizer_);
  }
}

// What a stream says of a call: id and name first, the arguments after.
void append_call_part(std::string& out, const CallPart& part) {
  out += fmt::format("\"tool_calls\":[{{\"index\":{},", part.index);
  if (part.begins) {
    out += "\"id\":";
    append_text(out, part.call->id);
    out += ",\"type\":\"function\",\"function\":{\"name\":";
    append_text(out, part.call->name);
    out += ",\"arguments\":";
  } else {
    out += "\"function\":{\"arguments\":";
  }
  append_text(out, part.arguments);
  out += "}}]";
}

void OpenAiEncoder::append_delta(std::string& out, const AnswerPart& part) const {
  out += "\"delta\":{";
  if (part.call) {
    append_call_part(out, *part.call);
  } else if (!part.thought.empty()) {
    out += "\"reasoning_content\":";
    append_text(out, part.thought);
  } else if (part.is_first || !part.text.empty() || part.tokens) {
    out += part.is_first ? "\"role\":\"assistant\",\"content\":" : "\"content\":";
    append_text(out, part.text);
  }
  out += '}';
}

void OpenAiEncoder::append_message(std::string& out, const AnswerPart& part) const {
  const bool has_calls = part.calls && !part.calls->empty();
  out += "\"message\":{\"role\":\"assistant\",\"content\":";
  if (has_calls && part.text.empty())
    out += "null";
  else
    append_text(out, part.text);
  if (!part.thought.empty()) {
    out += ",\"reasoning_content\":";
    append_text(out, part.thought);
  }
  if (has_calls) {
    Json calls = Json::array();
    for (const ToolCall& call : *part.calls)
      calls.push_back(Json::object(
          {{"id", call.id},
           {"type", "function"},
           {"function", Json::object({{"name", call.name}, {"arguments", call.arguments}})}}));
    out += ",\"tool_calls\":" + write_json(calls);
  }
  out += ",\"refusal\":null}";
}

std::string OpenAiEncoder::part(const AnswerFrame& frame, const AnswerPart& part) {
  if (part.is_first && !is_chat_ && part.text.empty()) return "";
  if (part.call && part.call->ends && !part.tokens) return "";
  std::string out = "data: " + opening(frame, "chat.completion.chunk");
  out += fmt::format("{{\"index\":{},", part.index);
  if (is_chat_) {
    append_delta(out, part);
  } else {
    out += "\"text\":";
    append_text(out, part.text);
  }
  append_logprobs(out, part);
  append_finish(out, part);
  out += include_usage_ ? "],\"usage\":null}\n\n" : "]}\n\n";
  return out;
}

std::string OpenAiEncoder::end(const AnswerFrame& frame, const Usage& usage) {
  std::string out;
  if (include_usage_)
    out = "data: " + opening(frame, "chat.completion.chunk") +
          fmt::format("],\"usage\":{}}}\n\n", usage_json(frame, usage));
  return out + "data: [DONE]\n\n";
}

std::string OpenAiEncoder::whole(const AnswerFrame& frame, const std::vector<AnswerPart>& choices,
                                 const Usage& usage) {
  std::string out = opening(frame, "chat.completion");
  for (const AnswerPart& part : choices) {
    if (&part != &choices.front()) out += ',';
    out += fmt::format("{{\"index\":{},", part.index);
    if (is_chat_) {
      append_message(out, part);
    } else {
      out += "\"text\":";
      append_text(out, part.text);
    }
    append_logprobs(out, part);
    append_finish(out, part);
  }
  return out + fmt::format("],\"usage\":{}}}", usage_json(frame, usage));
}

}  // namespace

std::unique_ptr<Encoder> openai_encoder(Dialect dialect, bool include_usage,
                                        const Tokenizer& tokenizer) {
  return std::make_unique<OpenAiEncoder>(dialect, include_usage, tokenizer);
}

std::string token_logprobs(const std::vector<TokenInfo>& tokens, const Tokenizer& tokenizer) {
  std::string out;
  append_token_logprobs(out, tokens, tokenizer);
  return out;
}

}  // namespace hearth::server
