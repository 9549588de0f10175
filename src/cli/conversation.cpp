#include "cli/conversation.h"

#include <fmt/core.h>

#include "library/pictures.h"
#include "server/task.h"
#include "server/tool_messages.h"
#include "text/answer/answer.h"
#include "text/chat_format.h"

namespace hearth::cli {
namespace {

constexpr int max_tool_rounds = 16;
constexpr std::size_t max_calls_at_once = 16;

Json message(std::string_view role, std::string_view content) {
  return Json::object({{"role", role}, {"content", content}});
}

bool has_role(const Json& message, std::string_view role) {
  const Json* found = message.find("role");
  return found && found->is_string() && found->as_string() == role;
}

}  // namespace

bool Conversation::give_tools(ToolAccess tools) {
  if (!server::knows_tools(model_.model()) ||
      !find_answer_form(model_.model().chat_template_source()).calls)
    return false;
  tools_ = std::move(tools);
  return true;
}

void Conversation::add(std::string_view role, std::string_view content) {
  messages_.push_back(message(role, content));
}

Result<Answer> Conversation::answer(const std::stop_token& stop, const OnText& on_text) {
  Json tools = tools_.tools ? tools_.tools() : Json::array();
  if (tools.size() > 0) {
    for (int round = 0;; ++round) {
      // The last round has no tools: it must be an answer.
      if (round == max_tool_rounds) tools = Json::array();
      Answer answer = TRY(answer_with_tools(tools, stop, on_text));
      if (answer.finish == FinishReason::cancelled || !run_calls(stop)) return answer;
    }
  }
  GenerateRequest request = settings_;
  ChatPrompt prompt = TRY(chat_prompt(model_.model(), messages_));
  request.prompt = std::move(prompt.tokens);
  request.pictures = std::move(prompt.pictures);
  request.stop_token = stop;
  Answer answer = TRY(generate(*model_.runner, std::move(request), on_text));
  messages_.push_back(message("assistant", answer.text));
  return answer;
}

Result<Answer> Conversation::answer_with_tools(const Json& tools, const std::stop_token& stop,
                                               const OnText& on_text) {
  server::ChatInput input;
  input.messages = messages_;
  if (tools.size() > 0) input.tools = tools;
  server::Asked asked;
  asked.generate = settings_;
  auto made = server::chat_task(model_, std::move(input), std::move(asked));
  if (!made.ok()) return Error(ErrorKind::invalid, made.error().message);
  server::Task task = std::move(made).value();
  GenerateRequest request = std::move(task.asked.generate);
  request.prompt = std::move(task.prompts.front().tokens);
  request.pictures = std::move(task.prompts.front().pictures);
  request.stop_token = stop;
  if (!task.reading) return Error(ErrorKind::unsupported, "this model's answers cannot be read");

  AnswerReader reader(task.reading->form, task.reading->tools, task.reading->is_thinking);
  std::string text;
  Json calls = Json::array();
  std::string arguments;
  const auto take = [&](const std::vector<AnswerPiece>& pieces) {
    for (const AnswerPiece& piece : pieces) switch (piece.kind) {
        case AnswerPiece::Kind::text:
          text += piece.text;
          on_text(piece.text);
          break;
        case AnswerPiece::Kind::thought:
          on_text(piece.text);
          break;
        case AnswerPiece::Kind::call:
          calls.push_back(Json::object(
              {{"id", piece.id.empty()
                          ? server::new_call_id("call_", task.reading->form.has_short_ids)
                          : piece.id},
               {"type", "function"},
               {"function", Json::object({{"name", piece.text}, {"arguments", ""}})}}));
          arguments.clear();
          break;
        case AnswerPiece::Kind::arguments:
          arguments += piece.text;
          break;
        case AnswerPiece::Kind::call_end:
          if (calls.size() > 0)
            calls.as_array().back().find("function")->set("arguments", arguments);
          break;
      }
  };
  Answer answer = TRY(generate(*model_.runner, std::move(request),
                               [&](std::string_view piece) { take(reader.add(piece)); }));
  take(reader.finish());
  Json said = message("assistant", text);
  if (calls.size() > max_calls_at_once) calls.as_array().resize(max_calls_at_once);
  if (calls.size() > 0) said.set("tool_calls", std::move(calls));
  messages_.push_back(std::move(said));
  answer.text = text;
  return answer;
}

bool Conversation::run_calls(const std::stop_token& stop) {
  const Json* called = messages_.as_array().back().find("tool_calls");
  if (!called) return false;
  const Json calls = *called;  // the messages grow
  for (const Json& call : calls.as_array()) {
    const Json& function = *call.find("function");
    Json result = message("tool", tools_.use(function.find("name")->as_string(),
                                             function.find("arguments")->as_string(), stop));
    result.set("tool_call_id", *call.find("id"));
    messages_.push_back(std::move(result));
  }
  return true;
}

Result<Answer> Conversation::ask(const std::string& text, std::stop_token stop,
                                 const std::function<void(std::string_view)>& on_text) {
  const std::size_t before = messages_.size();
  Json asked = message("user", text);
  if (pictures_.size() > 0) {
    Json parts = pictures_;
    parts.push_back(Json::object({{"type", "text"}, {"text", text}}));
    asked.set("content", std::move(parts));
  }
  messages_.push_back(std::move(asked));
  auto result = answer(stop, on_text);
  if (!result)
    messages_.as_array().resize(before);
  else
    pictures_ = Json::array();
  return result;
}

Status Conversation::show_picture(const std::string& path) {
  if (model_.model().vision() == nullptr)
    return Error(ErrorKind::unsupported, "this model reads text, it does not see");
  pictures_.push_back(TRY(picture_part(path)));
  return Done{};
}

Result<Answer> Conversation::ask_again(std::stop_token stop,
                                       const std::function<void(std::string_view)>& on_text) {
  Json::Array& messages = messages_.as_array();
  if (messages.size() < 2 || !has_role(messages.back(), "assistant"))
    return Error(ErrorKind::not_found, "no answer yet");
  Json last = std::move(messages.back());
  messages.pop_back();
  ++settings_.sampling.seed;  // the same seed would give the same answer
  const std::size_t before = messages.size();
  auto result = answer(stop, on_text);
  if (!result) {
    messages.resize(before);
    messages.push_back(std::move(last));
  }
  return result;
}

Result<Answer> Conversation::go_on(std::stop_token stop, const OnText& on_text) {
  const std::size_t before = messages_.size();
  auto result = answer(stop, on_text);
  if (!result) messages_.as_array().resize(before);
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
  pictures_ = Json::array();
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
    const Json* content = messages.as_array()[i].find("content");
    if (content && content->is_array()) {
      TRY(regular_message(messages.as_array()[i]));
      continue;
    }
    TRY(required<std::string>(messages.as_array()[i], "content"));
  }
  messages_ = std::move(messages);
  return Done{};
}

Result<std::size_t> Conversation::token_count() const {
  return TRY(chat_prompt(model_.model(), messages_)).tokens.size();
}

}  // namespace hearth::cli
