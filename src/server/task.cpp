#include "server/task.h"

#include <fmt/core.h>

#include <algorithm>

#include "library/pictures.h"
#include "library/transcriber.h"
#include "server/answer_rule.h"
#include "server/cut.h"
#include "server/tool_messages.h"
#include "text/chat_format.h"

namespace hearth::server {
namespace {

// Marks that the decoder would leave out of the text.
bool has_hidden_marks(const Tokenizer& tokenizer, const AnswerForm& form) {
  return std::ranges::any_of(marks_of(form), [&](std::string_view mark) {
    while (!mark.empty() && mark.back() == '\n') mark.remove_suffix(1);
    const auto token = tokenizer.find(mark);
    return token && tokenizer.kind(*token) == TokenKind::control;
  });
}

// The prompt has not ended a thought, nor does the request forbid one.
bool may_think(const AnswerForm& form, const ChatInput& input, std::string_view prompt) {
  while (prompt.ends_with('\n') || prompt.ends_with(' ')) prompt.remove_suffix(1);
  std::string close = end_of_thought(form);
  while (close.ends_with('\n')) close.pop_back();
  const Json* enabled = input.variables.find("enable_thinking");
  return !close.empty() && !prompt.ends_with(close) && !(enabled && *enabled == Json(false));
}

Check check_tools(const Model& model, const ChatInput& input, const AnswerForm& form) {
  if (!input.tools.is_array()) return Done{};
  if (!form.calls || !knows_tools(model))
    return unsupported_value(
        "tools", "this model does not support tools: its chat template has no place for them");
  if (input.choice.is_forced && forced_call(form, input.choice.name).empty())
    return unsupported_value("tool_choice", "this model's calls cannot be forced: needs auto");
  return Done{};
}

// The answer goes on from the call that it must begin with.
Check force_call(const Model& model, const ToolChoice& choice, Prompt& prompt, Reading& reading) {
  reading.beginning = forced_call(reading.form, choice.name);
  if (reading.is_thinking) reading.beginning = "\n\n" + reading.beginning;
  if (reading.is_thinking) reading.beginning = end_of_thought(reading.form) + reading.beginning;
  const auto more = TRY(model.tokenizer().encode(reading.beginning, {.parse_special = true}));
  prompt.tokens.insert(prompt.tokens.end(), more.begin(), more.end());
  return Done{};
}

}  // namespace

Check check_pictures(const Model& model, const ChatInput& input) {
  for (std::size_t i = 0; i < input.messages.size(); ++i) {
    const Json* content = input.messages.as_array()[i].find("content");
    if (content == nullptr || !content->is_array()) continue;
    const std::string place = fmt::format("messages[{}].content", i);
    if (model.vision() == nullptr)
      return unsupported_value(place, "has a picture: this model reads text, it does not see");
    for (const Json& part : content->as_array())
      if (is_picture(part))
        if (const auto bytes = picture_in(part); !bytes)
          return invalid_value(place, bytes.error().message());
  }
  return Done{};
}

Result<ChatPrompt> conversation_prompt(const Model& model, const ChatInput& input,
                                       bool opens_answer) {
  const AnswerForm form = find_answer_form(model.chat_template_source());
  const Json messages = fit_calls(input.messages, form.has_short_ids);
  return chat_prompt(model, messages, input.tools, input.variables, opens_answer);
}

Checked<Task> chat_task(const LoadedModel& loaded, ChatInput input, Asked asked,
                        std::string_view prompt_field) {
  const Model& model = loaded.model();
  Reading reading;
  reading.form = find_answer_form(model.chat_template_source());
  reading.is_single = input.choice.is_single;
  TRY(check_tools(model, input, reading.form));
  if (Check shown = check_pictures(model, input); !shown.ok()) {
    Problem problem = std::move(shown).error();
    if (prompt_field != "messages") problem.param = prompt_field;
    return problem;
  }
  auto rendered = conversation_prompt(model, input);
  if (!rendered) {
    Problem problem = to_problem(rendered.error());
    if (problem.status == 400) problem.param = prompt_field;
    return problem;
  }
  TRY(cut(loaded, input, asked, *rendered));
  Prompt prompt{
      .tokens = std::move(rendered->tokens), .pictures = std::move(rendered->pictures), .echo = ""};
  reading.is_thinking = begins_thought(reading.form, rendered->text);
  if (input.tools.is_array() && input.choice.is_forced)
    TRY(force_call(model, input.choice, prompt, reading));
  reading.tools = std::move(input.tools);

  HeldAnswer held{.rule = asked.rule,
                  .tools = reading.tools,
                  .is_thinking = reading.is_thinking && reading.beginning.empty(),
                  .may_think = may_think(reading.form, input, rendered->text),
                  .has_begun_call = !reading.beginning.empty(),
                  .tool = input.choice.name,
                  .is_single = reading.is_single};
  // A call that is forced is the answer.
  if (held.has_begun_call) held.rule = {};
  Task task;
  asked.warning += input.warning;
  task.asked = std::move(asked);
  task.prompt_field = prompt_field;
  task.prompts.push_back(std::move(prompt));
  TRY(hold(loaded, held, reading.form, task));
  if (!reading.form.calls && !reading.form.thoughts) return task;
  if (has_hidden_marks(model.tokenizer(), reading.form)) task.asked.generate.show_special = true;
  task.reading = std::move(reading);
  return task;
}

Check check_generates(const LoadedModel& loaded) {
  if (loaded.model().info().kind == ModelKind::generator) return Done{};
  if (const Status reads = check_reads_text(loaded); !reads.ok())
    return unsupported_value("model", reads.error().message());
  return unsupported_value("model", "does not generate text");
}

}  // namespace hearth::server
