// ToolLoop: the conversation of one answer that may call tools which this server runs itself.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/encoder.h"
#include "server/service.h"
#include "server/task.h"
#include "server/tools/offer.h"

namespace hearth::server {

// Rounds of calls in one answer; then the model has to answer without.
constexpr int max_tool_rounds = 16;
constexpr std::int64_t max_served_calls = 128;
constexpr std::size_t max_results_bytes = 1 << 20;  // of one answer, all together
constexpr std::chrono::minutes max_tool_time{10};   // the same

// A call that an earlier answer asked about and the client has agreed to.
struct ApprovedCall {
  ToolCall call;
  std::string approval_id;
  std::size_t message_index = 0;  // of the message that holds its result
};

// Used by one thread at a time.
class ToolLoop {
 public:
  // `input` has the tools of the offer already.
  ToolLoop(ToolOffer offer, ChatInput input, Asked asked, std::string_view prompt_field);

  const ToolOffer& offer() const { return offer_; }
  std::vector<ApprovedCall> approved;
  std::optional<std::int64_t> max_calls, context_tokens;
  std::string beginning;  // of the answer, which the request has written

  // What follows an answer with these calls.
  enum class Next { end, run, run_and_end };
  // `tells`: the client is told of the calls that are run; otherwise an answer that calls its own
  // tools too is given as it is.
  Next after(const std::vector<ToolCall>& calls, bool tells) const;
  static bool is_run(const ToolCall& call);

  // Blocks.
  ToolOutcome run(const ToolCall& call, const std::stop_token& stop);
  ToolOutcome run(const ApprovedCall& call, const std::stop_token& stop);
  void add_answer(const std::string& text, const std::string& thought,
                  const std::vector<ToolCall>& calls);
  void add_result(const ToolCall& call, const ToolOutcome& outcome);

  // The conversation so far; `made`: tokens of its answers.  nullopt: there is no room for more.
  Checked<std::optional<Task>> next_task(const LoadedModel& loaded, std::int64_t made);

 private:
  const ToolOffer offer_;
  ChatInput input_;
  const Asked asked_;
  const std::string_view prompt_field_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  int rounds_ = 0;
  std::int64_t calls_ = 0;
  std::size_t result_bytes_ = 0;
};

// A task, and the loop that goes on from it; nullptr: no tools of ours.
struct ToolTask {
  Task task;
  std::unique_ptr<ToolLoop> loop;
};

// chat_task with the tools that the request may use of those that run here.
Checked<ToolTask> tool_task(Service& service, const Call& call, const LoadedModel& loaded,
                            ChatInput input, Asked asked, bool can_ask,
                            std::string_view prompt_field = "messages");

}  // namespace hearth::server
