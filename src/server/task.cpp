#include "server/task.h"

namespace hearth::server {

Checked<Task> chat_task(const LoadedModel& loaded, ChatInput input, Asked asked,
                        std::string_view prompt_field) {
  asked.warning += input.warning;
  auto prompt = chat_prompt(loaded.model(), input.messages, input.tools, input.variables);
  if (!prompt) {
    Problem problem = to_problem(prompt.error());
    if (problem.status == 400) problem.param = prompt_field;
    return problem;
  }
  Task task;
  task.asked = std::move(asked);
  task.prompts.push_back({std::move(prompt->tokens), ""});
  task.prompt_field = prompt_field;
  return task;
}

Check check_generates(const LoadedModel& loaded) {
  if (loaded.model().info().kind == ModelKind::generator) return Done{};
  return unsupported_value("model", "does not generate text");
}

}  // namespace hearth::server
