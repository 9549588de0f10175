#include "server/tools/loop.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/log.h"
#include "base/utf8.h"
#include "server/tool_messages.h"
#include "server/tools/host.h"

namespace hearth::server {
namespace {

using Clock = std::chrono::steady_clock;

ToolOutcome refused(std::string why) { return {.text = std::move(why), .is_error = true}; }

// What the model is told.
std::string told(const ToolOutcome& outcome) {
  return outcome.is_error ? "Error: " + outcome.text : outcome.text;
}

// No content: what a person asks is not written down.
void log_call(const ServedTool& tool, const ToolOutcome& outcome, Clock::time_point began) {
  const std::chrono::duration<double, std::milli> took = Clock::now() - began;
  log_info("tool called server='{}' tool='{}' ms={:.0f} bytes={} error={}", tool.offered.server,
           printable(tool.offered.tool.name), took.count(), outcome.text.size(), outcome.is_error);
}

Json call_message(const ToolCall& call) {
  return Json::object(
      {{"id", call.id},
       {"type", "function"},
       {"function",
        Json::object({{"name", call.name},
                      {"arguments", call.arguments.empty() ? "{}" : call.arguments}})}});
}

}  // namespace

ToolLoop::ToolLoop(ToolOffer offer, ChatInput input, Asked asked, std::string_view prompt_field)
    : offer_(std::move(offer)),
      input_(std::move(input)),
      asked_(std::move(asked)),
      prompt_field_(prompt_field) {}

bool ToolLoop::is_run(const ToolCall& call) { return call.served && !call.served->needs_approval; }

ToolLoop::Next ToolLoop::after(const std::vector<ToolCall>& calls, bool tells) const {
  if (std::ranges::none_of(calls, is_run)) return Next::end;
  if (std::ranges::all_of(calls, is_run)) return Next::run;
  return tells ? Next::run_and_end : Next::end;
}

ToolOutcome ToolLoop::run(const ToolCall& call, const std::stop_token& stop) {
  if (max_calls && calls_ >= *max_calls)
    return refused(fmt::format("not called: {} calls are all that this answer may make", calls_));
  if (++calls_ > max_served_calls)
    return refused(fmt::format("not called: over {} calls in one answer", max_served_calls));
  if (Clock::now() - began_ > max_tool_time) return refused("not called: there is no time left");
  if (result_bytes_ > max_results_bytes)
    return refused(fmt::format("not called: the results are over {} bytes", max_results_bytes));
  const auto began = Clock::now();
  auto result = call.served->box->call(call.name, call.arguments, stop);
  ToolOutcome outcome = result ? ToolOutcome{std::move(result->text), result->is_error, ""}
                               : refused(result.error().message());
  result_bytes_ += outcome.text.size();
  log_call(*call.served, outcome, began);
  return outcome;
}

ToolOutcome ToolLoop::run(const ApprovedCall& call, const std::stop_token& stop) {
  ToolOutcome outcome = run(call.call, stop);
  input_.messages.as_array()[call.message_index].set("content", told(outcome));
  outcome.approval_id = call.approval_id;
  return outcome;
}

void ToolLoop::add_answer(const std::string& text, const std::string& thought,
                          const std::vector<ToolCall>& calls) {
  Json list = Json::array();
  for (const ToolCall& call : calls) list.push_back(call_message(call));
  Json message = Json::object({{"role", "assistant"}, {"content", beginning + text}});
  beginning.clear();
  if (!thought.empty()) message.set("reasoning_content", thought);
  message.set("tool_calls", std::move(list));
  input_.messages.push_back(std::move(message));
}

void ToolLoop::add_result(const ToolCall& call, const ToolOutcome& outcome) {
  input_.messages.push_back(Json::object({{"role", "tool"},
                                          {"tool_call_id", call.id},
                                          {"name", call.name},
                                          {"content", told(outcome)}}));
}

Checked<std::optional<Task>> ToolLoop::next_task(const LoadedModel& loaded, std::int64_t made) {
  // A call that was forced has been made.
  input_.choice.is_forced = false;
  input_.choice.name.clear();
  if (++rounds_ >= max_tool_rounds && input_.tools.is_array()) {
    std::erase_if(input_.tools.as_array(), [&](const Json& tool) {
      return offer_.find(tool.find("function")->find("name")->as_string()) != nullptr;
    });
    if (input_.tools.size() == 0) input_.tools = Json();
  }
  const std::int64_t left = asked_.max_tokens.value_or(chat_max_tokens) - made;
  if (left <= 0) return std::optional<Task>();
  Asked asked = asked_;
  if (asked.max_tokens) asked.max_tokens = left;
  Task task = TRY(chat_task(loaded, input_, std::move(asked), prompt_field_));
  task.standard_max_tokens = left;
  task.context_tokens = context_tokens;
  return std::optional<Task>(std::move(task));
}

Checked<ToolTask> tool_task(Service& service, const Call& call, const LoadedModel& loaded,
                            ChatInput input, Asked asked, bool can_ask,
                            std::string_view prompt_field) {
  ToolHost* host = service.tool_host.get();
  const bool may_stand = host && host->has_standing() && !input.forbids_tools && asked.n == 1 &&
                         knows_tools(loaded.model());
  ToolTask result;
  if (input.wishes.empty() && !may_stand) {
    result.task = TRY(chat_task(loaded, std::move(input), std::move(asked), prompt_field));
    return result;
  }
  if (asked.n > 1) return unsupported_value("n", "with tools that run here: needs 1");
  if (!host) return unsupported_value("tools", "of type mcp are not offered here");
  OfferRequest request{.key = call.key.get(), .wishes = input.wishes, .can_ask = can_ask};
  request.stop = call.responder->stop();
  if (input.tools.is_array())
    for (const Json& tool : input.tools.as_array())
      request.taken.insert(tool.find("function")->find("name")->as_string());
  ToolOffer offer = TRY(host->offer(std::move(request), asked.warning));
  if (!offer.tools.empty() && !input.tools.is_array()) input.tools = Json::array();
  for (const ServedTool& tool : offer.tools) {
    Json one = hearth::mcp::openai_tools({tool.offered});
    input.tools.push_back(std::move(one.as_array().front()));
  }
  if (input.choice.is_forced && !is_chosen(input))
    return invalid_value("tool_choice", "names no tool of this request");
  result.loop = std::make_unique<ToolLoop>(std::move(offer), input, asked, prompt_field);
  result.task = TRY(chat_task(loaded, std::move(input), std::move(asked), prompt_field));
  return result;
}

}  // namespace hearth::server
