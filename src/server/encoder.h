// Encoder: how one dialect writes an answer, whole or as a stream.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "runtime/runner.h"

namespace hearth::server {

// What every object of one answer says about it.
struct AnswerFrame {
  std::string id, model;  // id: the request's, without a prefix
  std::int64_t created = 0;
  std::chrono::steady_clock::time_point began;
  std::int64_t prompt_tokens = 0;
  std::int64_t thought_tokens = 0;                 // made so far
  std::optional<std::int64_t> lowered_max_tokens;  // max_tokens had to be lowered to this
  bool is_predicted = false;                       // the request said what may come
};

struct ServedTool;
struct ToolOffer;

struct ToolCall {
  std::string id, name;
  std::string arguments;               // JSON, as the model wrote it
  const ServedTool* served = nullptr;  // this server runs it, not the client
};

// How a call ended that this server ran.
struct ToolOutcome {
  std::string text = {};
  bool is_error = false;
  std::string approval_id = {};  // of the question that the client said yes to, if it was asked
};

// What a stream says of a call: that it begins, a part of its arguments, or that it is whole.
struct CallPart {
  std::size_t index = 0;  // among the calls of its choice
  const ToolCall* call = nullptr;
  std::string_view arguments;
  bool begins = false, ends = false;
};

// One choice, whole or a part.  A part of a stream has text, a thought or a call.
struct AnswerPart {
  int index = 0;
  std::string_view text, thought;
  std::optional<CallPart> call;                    // of a stream
  const std::vector<ToolCall>* calls = nullptr;    // with `finish`: all of the choice
  const std::vector<TokenInfo>* tokens = nullptr;  // nullptr: no log probabilities asked
  std::size_t text_offset = 0;                     // of the first token (completions)
  bool starts_prompt = false;                      // the first token has nothing before it
  std::optional<FinishReason> finish;
  std::string_view stop_string;  // with `finish`: which one ended it, if one did
  bool is_first = false;         // of its choice; `text` is what comes before the answer
};

// How a stream is sent.
struct StreamForm {
  std::string content_type;
  std::string heartbeat;  // what may be said when nothing happens
};

// Used by one thread at a time, for one answer.
class Encoder {
 public:
  virtual ~Encoder() = default;

  virtual StreamForm stream_form(const AnswerFrame& frame) const = 0;
  // Each gives whole events, none or some: begin, any number of parts, then end or failure.
  virtual std::string begin(const AnswerFrame&) { return ""; }
  virtual std::string part(const AnswerFrame& frame, const AnswerPart& part) = 0;
  virtual std::string end(const AnswerFrame& frame, const Usage& usage) = 0;
  virtual std::string failure(const AnswerFrame& frame, const http::Problem& problem) = 0;

  // The body of an answer that is not streamed.
  virtual std::string whole(const AnswerFrame& frame, const std::vector<AnswerPart>& choices,
                            const Usage& usage) = 0;

  // A stream tells also what fails before it begins: clients look for it there.
  virtual bool fails_in_stream() const { return false; }

  virtual std::string_view call_id_prefix() const { return "call_"; }

  // An answer may take several rounds, with tools that this server runs between them.  Who does not
  // tell of those is given one answer; who does is told of the tools before the first part, of each
  // round of an answer that is not streamed (the last one comes by whole()), and of what came of
  // each call.
  virtual bool tells_tools() const { return false; }
  virtual std::string offered(const AnswerFrame&, const ToolOffer&) { return ""; }
  virtual void round(const AnswerFrame&, const AnswerPart&) {}
  virtual std::string ran(const AnswerFrame&, const ToolCall&, const ToolOutcome&) { return ""; }

  // Told of every event before its part, streamed or not.
  virtual void note(const Event&) {}
};

}  // namespace hearth::server
