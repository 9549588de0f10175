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

void append_chat_logprobs(std::string& out, const AnswerPart& part, const Tokenizer& tokenizer) {
  out += "{\"content\":[";
  for (std::size_t i = 0; i < part.tokens->size(); ++i) {
    const TokenInfo& token = (*part.tokens)[i];
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
  out += "],\"refusal\":null}";
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

void append_logprobs(std::string& out, const AnswerFrame& frame, const AnswerPart& part,
                     const Tokenizer& tokenizer) {
  out += ",\"logprobs\":";
  if (!part.tokens)
    out += "null";
  else if (frame.dialect == Dialect::chat)
    append_chat_logprobs(out, part, tokenizer);
  else
    append_text_logprobs(out, part, tokenizer);
}

void append_finish(std::string& out, const AnswerPart& part) {
  out += ",\"finish_reason\":";
  if (part.finish)
    out += fmt::format("\"{}\"", name_of(*part.finish));
  else
    out += "null";
  out += '}';
}

std::string opening(const AnswerFrame& frame, std::string_view object) {
  std::string out = "{\"id\":";
  append_text(out, frame.id);
  out += fmt::format(",\"object\":\"{}\",\"created\":{},\"model\":", object, frame.created);
  append_text(out, frame.model);
  out += ",\"system_fingerprint\":\"hearth-" HEARTH_VERSION "\",\"choices\":[";
  return out;
}

std::string_view object_name(const AnswerFrame& frame, bool is_chunk) {
  if (frame.dialect == Dialect::completion) return "text_completion";
  return is_chunk ? "chat.completion.chunk" : "chat.completion";
}

std::string usage_json(const AnswerFrame& frame, const Usage& usage) {
  const std::string lowered =
      frame.lowered_max_tokens ? fmt::format(",\"max_tokens\":{}", *frame.lowered_max_tokens) : "";
  return fmt::format(
      "{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{},"
      "\"prompt_tokens_details\":{{\"cached_tokens\":{}}},"
      "\"completion_tokens_details\":{{\"reasoning_tokens\":0}}{}}}",
      usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens + usage.completion_tokens,
      usage.cached_tokens, lowered);
}

}  // namespace

std::string_view name_of(FinishReason reason) {
  return reason == FinishReason::length ? "length" : "stop";
}

std::string chunk(const AnswerFrame& frame, const AnswerPart& part, const Tokenizer& tokenizer) {
  std::string out = "data: " + opening(frame, object_name(frame, true));
  out += fmt::format("{{\"index\":{},", part.index);
  if (frame.dialect == Dialect::completion) {
    out += "\"text\":";
    append_text(out, part.text);
  } else if (part.is_first) {
    out += "\"delta\":{\"role\":\"assistant\",\"content\":";
    append_text(out, part.text);
    out += '}';
  } else if (part.text.empty() && !part.tokens) {
    out += "\"delta\":{}";
  } else {
    out += "\"delta\":{\"content\":";
    append_text(out, part.text);
    out += '}';
  }
  append_logprobs(out, frame, part, tokenizer);
  append_finish(out, part);
  out += frame.has_usage ? "],\"usage\":null}\n\n" : "]}\n\n";
  return out;
}

std::string usage_chunk(const AnswerFrame& frame, const Usage& usage) {
  return "data: " + opening(frame, object_name(frame, true)) +
         fmt::format("],\"usage\":{}}}\n\n", usage_json(frame, usage));
}

std::string answer(const AnswerFrame& frame, const std::vector<AnswerPart>& choices,
                   const Usage& usage, const Tokenizer& tokenizer) {
  std::string out = opening(frame, object_name(frame, false));
  for (const AnswerPart& part : choices) {
    if (&part != &choices.front()) out += ',';
    out += fmt::format("{{\"index\":{},", part.index);
    if (frame.dialect == Dialect::completion) {
      out += "\"text\":";
      append_text(out, part.text);
    } else {
      out += "\"message\":{\"role\":\"assistant\",\"content\":";
      append_text(out, part.text);
      out += ",\"refusal\":null}";
    }
    append_logprobs(out, frame, part, tokenizer);
    append_finish(out, part);
  }
  return out + fmt::format("],\"usage\":{}}}", usage_json(frame, usage));
}

}  // namespace hearth::server
