// RemoteAnswer: the stream of events in which an answer comes from OpenAI's interface.
// Source: OpenAI API reference, "Chat completions, streaming"; HTML, "Server-sent events".
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "runtime/runner.h"

namespace hearth {

// Used by one thread.
class RemoteAnswer {
 public:
  // The text that these bytes add: thoughts between <think> and </think>, calls of tools between
  // <tool_call> and </tool_call>.  Errors: corrupt (no JSON in an event), exhausted (an event
  // without an end), those that the server tells in the stream.
  Result<std::string> add(std::string_view bytes);
  // What is still held: the calls, the end of a thought.
  std::string finish();

  FinishReason reason() const { return reason_; }
  const Usage& usage() const { return usage_; }  // as the server counts, once it has told
  bool is_done() const { return is_done_; }

 private:
  Status take_line(std::string_view line, std::string& text);
  Status take_event(const Json& event, std::string& text);
  void take_delta(const Json& delta, std::string& text);

  struct Call {
    std::string name, arguments;
  };
  std::string held_;  // bytes of a line that has not ended
  std::map<std::int64_t, Call> calls_;
  FinishReason reason_ = FinishReason::stop;
  Usage usage_;
  bool is_thinking_ = false, is_done_ = false;
};

}  // namespace hearth
