// The part of a generation that goes on after calls of tools which this server runs.
#include "server/generation.h"
#include "server/interfaces.h"

namespace hearth::server {
namespace {

// What a round adds to all of it.
std::string added(const std::string& all, std::size_t begin) {
  const std::size_t first = all.find_first_not_of('\n', begin);
  return first == all.npos ? "" : all.substr(first);
}

}  // namespace

void Generation::begin_round(Choice& choice) {
  choice.calls.clear();
  choice.drops_call = false;
  if (encoder_->tells_tools()) {
    choice.text.clear();
    choice.thought.clear();
    choice.tokens.clear();
  }
  choice.round_text = choice.text.size();
  choice.round_thought = choice.thought.size();
  choice.reader = nullptr;
  if (!task_.reading) return;
  const Reading& reading = *task_.reading;
  choice.reader = std::make_unique<AnswerReader>(reading.form, reading.tools, reading.is_thinking);
  choice.begun = choice.reader->add(reading.beginning);
}

void Generation::end_with(std::optional<Problem> problem) {
  const std::lock_guard lock(mutex_);
  if (is_over_) return;
  if (problem)
    problem_ = std::move(problem);
  else if (is_streaming_)
    write_part(end_part(0));
  finish_all();
}

bool Generation::tell(const ToolCall& call, const ToolOutcome& outcome) {
  if (cancel_.stop_requested()) {
    end_with(to_problem(Error(ErrorKind::cancelled, "")));
    return false;
  }
  const std::lock_guard lock(mutex_);
  const std::string events = encoder_->ran(frame_, call, outcome);
  if (is_streaming_) write(events);
  return true;
}

// Calls that the client was asked about by an earlier answer.
void Generation::run_approved() {
  const Workers::Aside aside;
  {
    const std::lock_guard lock(mutex_);
    if (asked_.stream) begin_stream();
    is_started_ = true;
  }
  for (const ApprovedCall& approved : loop_->approved)
    if (!tell(approved.call, loop_->run(approved, cancel_.get_token()))) return;
  go_on();
}

void Generation::run_tools() {
  const Workers::Aside aside;
  std::vector<ToolCall> calls;
  {
    const std::lock_guard lock(mutex_);
    Choice& choice = choices_.front();
    calls = choice.calls;
    loop_->add_answer(added(choice.text, choice.round_text),
                      added(choice.thought, choice.round_thought), calls);
    if (encoder_->tells_tools() && !is_streaming_) {
      AnswerPart part = end_part(0);
      part.text = choice.text;
      part.thought = choice.thought;
      if (asked_.generate.logprobs) part.tokens = &choice.tokens;
      encoder_->round(frame_, part);
    }
  }
  for (const ToolCall& call : calls) {
    if (!ToolLoop::is_run(call)) continue;
    const ToolOutcome outcome = loop_->run(call, cancel_.get_token());
    if (!tell(call, outcome)) return;
    loop_->add_result(call, outcome);
  }
  if (next_ == ToolLoop::Next::run) return go_on();
  if (!is_streaming_) begin_round(choices_.front());  // its parts are told
  end_with(std::nullopt);
}

void Generation::go_on() {
  Checked<std::optional<Task>> made = loop_->next_task(*lease_, usage_.completion_tokens);
  if (!made.ok()) return end_with(std::move(made).error());
  Choice& choice = choices_.front();
  if (!made.value()) {
    choice.finish = FinishReason::length;
    begin_round(choice);
    return end_with(std::nullopt);
  }
  const auto tokens = static_cast<std::int64_t>(made.value()->prompts.front().tokens.size());
  if (tokens >= context_tokens_) {
    Problem problem = context_overflow(interface_of(call_.request), tokens, context_tokens_);
    problem.param = task_.prompt_field;
    return end_with(std::move(problem));
  }
  {
    const std::lock_guard lock(mutex_);
    task_ = *std::move(made.value());
    begin_round(choice);
    next_ = ToolLoop::Next::end;
    choice.finish.reset();
    open_prompts_ = 1;
  }
  Check done = submit(0, task_.prompts.front());
  if (!done.ok()) end_with(std::move(done).error());
}

}  // namespace hearth::server
