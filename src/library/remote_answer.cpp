#include "library/remote_answer.h"

#include <fmt/core.h>

#include "base/utf8.h"

namespace hearth {
namespace {

constexpr std::size_t max_line_bytes = 16u << 20, max_calls = 256, max_shown = 300;

std::string text_in(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

std::int64_t number_in(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value != nullptr && value->is_integer() ? value->as_integer() : 0;
}

}  // namespace

void RemoteAnswer::take_delta(const Json& delta, std::string& text) {
  std::string thought = text_in(delta, "reasoning_content");
  if (thought.empty()) thought = text_in(delta, "reasoning");
  if (!thought.empty()) {
    if (!is_thinking_) text += "<think>";
    is_thinking_ = true;
    text += thought;
  }
  if (const std::string content = text_in(delta, "content"); !content.empty()) {
    if (is_thinking_) text += "</think>";
    is_thinking_ = false;
    text += content;
  }
  const Json* calls = delta.find("tool_calls");
  if (calls == nullptr || !calls->is_array()) return;
  for (const Json& part : calls->as_array()) {
    const std::int64_t index = number_in(part, "index");
    if (calls_.size() >= max_calls && !calls_.contains(index)) continue;
    Call& call = calls_[index];
    const Json* function = part.find("function");
    if (function == nullptr) continue;
    call.name += text_in(*function, "name");
    call.arguments += text_in(*function, "arguments");
  }
}

Status RemoteAnswer::take_event(const Json& event, std::string& text) {
  if (const Json* error = event.find("error"); error != nullptr && !error->is_null())
    return Error(
        ErrorKind::unavailable,
        fmt::format("the server says: {}",
                    printable(error->is_string() ? error->as_string() : text_in(*error, "message"),
                              max_shown)));
  if (const Json* usage = event.find("usage"); usage != nullptr && usage->is_object()) {
    usage_.prompt_tokens = number_in(*usage, "prompt_tokens");
    usage_.completion_tokens = number_in(*usage, "completion_tokens");
    if (const Json* details = usage->find("prompt_tokens_details"))
      usage_.cached_tokens = number_in(*details, "cached_tokens");
  }
  const Json* choices = event.find("choices");
  if (choices == nullptr || !choices->is_array() || choices->size() == 0) return Done{};
  const Json& choice = choices->as_array()[0];
  if (const Json* delta = choice.find("delta")) take_delta(*delta, text);
  text += text_in(choice, "text");  // of the older interface without messages
  if (const std::string reason = text_in(choice, "finish_reason"); !reason.empty())
    reason_ = reason == "length" ? FinishReason::length : FinishReason::stop;
  return Done{};
}

Status RemoteAnswer::take_line(std::string_view line, std::string& text) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!line.starts_with("data:") || is_done_) return Done{};
  line.remove_prefix(5);
  while (line.starts_with(' ')) line.remove_prefix(1);
  if (line == "[DONE]") {
    is_done_ = true;
    return Done{};
  }
  const auto event = parse_json(line);
  if (!event)
    return Error(ErrorKind::corrupt,
                 fmt::format("an event that is no JSON: {}", printable(line.substr(0, max_shown))));
  return take_event(*event, text);
}

Result<std::string> RemoteAnswer::add(std::string_view bytes) {
  std::string text;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = bytes.find('\n', at);
    if (end == bytes.npos) {
      held_ += bytes.substr(at);
      if (held_.size() > max_line_bytes)
        return Error(ErrorKind::exhausted, "an event without an end");
      break;
    }
    held_ += bytes.substr(at, end - at);
    TRY(take_line(held_, text));
    held_.clear();
    at = end + 1;
  }
  return text;
}

std::string RemoteAnswer::finish() {
  std::string text;
  if (is_thinking_) text += "</think>";
  is_thinking_ = false;
  for (const auto& [index, call] : calls_) {
    const auto arguments = parse_json(call.arguments.empty() ? "{}" : call.arguments);
    const Json written = Json::object(
        {{"name", call.name}, {"arguments", arguments ? *arguments : Json(call.arguments)}});
    text += fmt::format("<tool_call>\n{}\n</tool_call>\n", write_json(written));
  }
  calls_.clear();
  return text;
}

}  // namespace hearth
