#include "cli/conversation.h"

#include <fmt/core.h>

namespace hearth::cli {
namespace {

Json message(std::string_view role, std::string_view content) {
  return Json::object({{"role", role}, {"content", content}});
}

bool has_role(const Json& message, std::string_view role) {
  const Json* found = message.find("role");
  return found && found->is_string() && found->as_string() == role;
}

}  // namespace

Result<Answer> Conversation::answer(std::stop_token stop,
                                    const std::function<void(std::string_view)>& on_text) {
  GenerateRequest request = settings_;
  request.prompt = TRY(chat_prompt(model_.model(), messages_)).tokens;
  request.stop_token = std::move(stop);
  Answer answer = TRY(generate(*model_.runner, std::move(request), on_text));
  messages_.push_back(message("assistant", answer.text));
  return answer;
}

Result<Answer> Conversation::ask(const std::string& text, std::stop_token stop,
                                 const std::function<void(std::string_view)>& on_text) {
  messages_.push_back(message("user", text));
  auto result = answer(std::move(stop), on_text);
  if (!result) messages_.as_array().pop_back();
  return result;
}

Result<Answer> Conversation::ask_again(std::stop_token stop,
                                       const std::function<void(std::string_view)>& on_text) {
  Json::Array& messages = messages_.as_array();
  if (messages.size() < 2 || !has_role(messages.back(), "assistant"))
    return Error(ErrorKind::not_found, "no answer yet");
  Json last = std::move(messages.back());
  messages.pop_back();
  ++settings_.sampling.seed;  // the same seed would give the same answer
  auto result = answer(std::move(stop), on_text);
  if (!result) messages.push_back(std::move(last));
  return result;
}

bool Conversation::undo() {
  Json::Array& messages = messages_.as_array();
  std::size_t keep = messages.size();
  while (keep > 0 && !has_role(messages[keep - 1], "user")) --keep;
  if (keep == 0) return false;
  messages.resize(keep - 1);
  return true;
}

void Conversation::clear() {
  Json::Array& messages = messages_.as_array();
  const bool system = !messages.empty() && has_role(messages.front(), "system");
  messages.resize(system ? 1 : 0);
}

void Conversation::set_system(std::string text) {
  Json::Array& messages = messages_.as_array();
  if (!messages.empty() && has_role(messages.front(), "system")) messages.erase(messages.begin());
  if (!text.empty()) messages.insert(messages.begin(), message("system", text));
}

Status Conversation::load(Json messages) {
  if (!messages.is_array()) return Error(ErrorKind::invalid, "needs a list of messages");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    TRY(required<std::string>(messages.as_array()[i], "role"));
    TRY(required<std::string>(messages.as_array()[i], "content"));
  }
  messages_ = std::move(messages);
  return Done{};
}

Result<std::size_t> Conversation::token_count() const {
  return TRY(chat_prompt(model_.model(), messages_)).tokens.size();
}

}  // namespace hearth::cli
