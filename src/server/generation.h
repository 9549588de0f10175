// Generation: one HTTP request that makes text, from its prompts to its last byte.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/encoder.h"
#include "server/service.h"
#include "server/task.h"
#include "server/tools/loop.h"

namespace hearth::server {

// Thread-safe.  Kept alive by the callbacks it gives to the runner.
class Generation : public std::enable_shared_from_this<Generation> {
 public:
  // `loop`: goes on after calls of tools that run here; then n is 1.
  Generation(Service& service, Call call, Lease lease, Task task, std::unique_ptr<Encoder> encoder,
             std::unique_ptr<ToolLoop> loop = nullptr);

  // Each prompt is asked for asked.n answers: answer j of prompt i is choice i * n + j.  Answers
  // the call, with a problem if a prompt is too long or there is no room.
  void start();

 private:
  struct Choice {
    std::string text, thought;
    std::vector<ToolCall> calls;
    bool drops_call = false;               // the call that is being read is not wanted
    std::unique_ptr<AnswerReader> reader;  // nullptr: the answer is text as it is
    std::vector<AnswerPiece> begun;        // read of what the prompt's end holds already
    std::vector<TokenInfo> tokens;
    std::optional<FinishReason> finish;
    std::string stop_string;
    std::size_t offset = 0;  // bytes of text behind the tokens written so far
    double logprob_sum = 0;
    std::size_t scored = 0;
    // Where this round's begin, after those of earlier ones that are told as one answer.
    std::size_t round_text = 0, round_thought = 0;
  };

  // max_tokens for a prompt; sets what the answer says about it.
  std::int64_t room_for(const Prompt& prompt);
  // What the request's "lora" means for this model.
  Check choose_adapters();
  Check submit(std::size_t index, const Prompt& prompt);
  // Answers with a problem that is known before anything is submitted.
  void refuse(Problem problem);
  // Headers that say what was changed or left out.
  http::Headers notes() const;
  void begin_stream();
  void write(std::string_view events);
  void on_event(std::size_t prompt, const Event& event);
  void handle(std::size_t prompt, const Event& event);
  // What an event adds to its choice, told apart.
  std::vector<AnswerPiece> pieces_of(Choice& choice, const Event& event);
  static void set_apart(const Choice& choice, AnswerPiece& piece);
  // Adds a piece to its choice; what a stream says of it, if anything.
  std::optional<AnswerPart> take(Choice& choice, AnswerPiece& piece);
  void write_event(std::size_t prompt, const Event& event);
  void write_choice(std::size_t index, const Event& event);
  void write_prompt(std::size_t index, const Event& event);
  void write_part(const AnswerPart& part);
  void collect(std::size_t prompt, const Event& event);
  void finish_prompt(const Event& event);
  void note_end(Choice& choice, const Event& event);
  AnswerPart end_part(std::size_t index) const;

  // Between two rounds, on a worker.
  void run_approved();
  void run_tools();
  void begin_round(Choice& choice);
  void go_on();
  // Tells what came of a call.  False: the client has left, and that is told.
  bool tell(const ToolCall& call, const ToolOutcome& outcome);
  void end_with(std::optional<Problem> problem);

  void finish_all();
  void send_answer();
  std::string whole_answer();
  void note_first_token();
  void charge();  // what it took, to the call's account
  std::string timing() const;

  Service& service_;
  Call call_;
  const Lease lease_;
  Task task_;           // of this round
  const Asked& asked_;  // of the task
  const std::int64_t context_tokens_;
  const std::unique_ptr<Encoder> encoder_;
  const std::unique_ptr<ToolLoop> loop_;             // nullptr: there is one round
  std::optional<std::vector<AdapterUse>> adapters_;  // of every round; nothing: not said
  AnswerFrame frame_;
  std::stop_source cancel_;
  // Passes the client's leaving on to the runner.
  std::stop_callback<std::function<void()>> on_leaving_;

  std::mutex mutex_;
  bool is_started_ = false, is_streaming_ = false, is_over_ = false, has_first_token_ = false;
  std::vector<std::pair<std::size_t, Event>> early_;  // that came before start() was done
  std::vector<Choice> choices_;                       // prompts x generate.n
  std::size_t open_prompts_ = 0;
  ToolLoop::Next next_ = ToolLoop::Next::end;  // after this round
  std::optional<Problem> problem_;
  Usage usage_;
};

}  // namespace hearth::server
