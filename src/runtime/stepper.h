// Stepper: the requests being answered, and one step of work on all of them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "models/model.h"
#include "ops/context.h"
#include "runtime/scheduler.h"
#include "runtime/sequence.h"

namespace hearth {

struct StepperOptions {
  std::uint32_t kv_pages = 0, states = 0;
  std::uint32_t step_tokens = 0, max_running = 0;
  std::uint32_t lone_step_tokens = 0;
  std::uint32_t guessing_rows = 0;
  bool measures_steps = false;   // how many tokens are guessed follows from how long steps take
  PrefixStore* store = nullptr;  // none: prefixes live in memory alone
  std::shared_ptr<const Model> draft_model = nullptr;  // none: guesses come from texts alone
};

// Since the beginning.
struct StepperCounts {
  std::uint64_t steps = 0, prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  std::uint64_t guessed = 0, guessed_right = 0;  // tokens of drafts
  std::uint64_t done = 0, cancelled = 0, failed = 0;
  double busy_seconds = 0;
  std::array<std::uint64_t, prefix_end_names.size()> prefix_ends = {};  // requests
};

// Used by one thread, which calls the requests' callbacks.
class Stepper {
 public:
  Stepper(const Model& model, const ops::Context& context, const StepperOptions& options);

  void add(std::unique_ptr<ActiveRequest> request);
  bool has_work() const { return !requests_.empty(); }

  // Ends what was asked to stop, then gives every running sequence its rows.  `leaving` stops even
  // a step that others wait for.
  void step(std::stop_token leaving = {});
  void cancel_all();
  // From the next step on.
  void limit(const Scheduler::Limits& limits) { scheduler_.limit(limits); }

  const StepperCounts& counts() const { return counts_; }
  const Scheduler& scheduler() const { return scheduler_; }
  const KvCache& cache() const { return cache_; }
  const DraftModel* draft_model() const { return draft_model_ ? &*draft_model_ : nullptr; }

 private:
  // A row of logits and what is wanted of it: the next token, or the logprob of a known one.
  struct Output {
    Sequence* sequence = nullptr;
    std::size_t row = 0;
    std::size_t draft = 0;              // how many of the sequence's drafts come before it
    std::optional<std::size_t> scored;  // place in the prompt of the known token
    Result<Token> token = Token{0};
    Logprobs logprobs = {};
  };

  // Keys and values that adapters had a part in are of no use without them.
  static std::string cache_salt(const GenerateRequest& asked);
  void drop_stopped();
  void guess(const std::stop_token& leaving);
  template <typename Guesser>
  void guess_by(Guesser& guesser, const Scheduler::GuessingRoom& room,
                const std::stop_token& leaving);
  static std::optional<DraftModel::Wish> wish_for(DraftModel& guesser, Sequence& sequence,
                                                  std::size_t most);
  static std::optional<MtpDrafter::Wish> wish_for(MtpDrafter& guesser, Sequence& sequence,
                                                  std::size_t most);
  DraftOdds& odds() { return draft_model_ ? draft_model_->odds() : mtp_->odds(); }
  std::span<const float> made_of(std::size_t row) const;
  static Plan take_tier(Plan& plan);
  void run(const Plan& plan, const std::stop_token& leaving);
  Status forward(const Plan& plan, std::stop_token leaving);
  void append_rows(const Slice& slice);
  void collect_adapters(const Plan& plan);
  Status read_pictures(const Plan& plan, const std::stop_token& stop);
  void give_up(const Plan& plan, const Error& error, const std::stop_token& leaving);
  void answer(const Plan& plan);
  void begin_answer(Sequence& first);
  void choose();
  void follow_drafts();
  void choose(Output& output, SamplerScratch& scratch) const;
  void deliver(Output& output);
  void deliver_scored(const Output& output);
  void report_scored(const ActiveRequest& request, std::size_t place,
                     const Logprobs& logprobs) const;
  bool is_end(const Sequence& sequence, Token token) const;
  std::string text_of(const Sequence& sequence, Token token) const;
  void emit(Sequence& sequence, Event event);
  void end(ActiveRequest& request, FinishReason finish, const Error* error = nullptr);
  void end_choice(ActiveRequest& request, int choice, Sequence* sequence, FinishReason finish,
                  const Error* error);
  void close(ActiveRequest& request, FinishReason finish, Event& event);
  void remove_finished();

  const Model& model_;
  ops::Context context_;
  PrefixStore* const store_;
  const bool measures_steps_;
  KvCache cache_;
  std::optional<DraftModel> draft_model_;  // outlives the sequences it has read
  std::optional<MtpDrafter> mtp_;          // of models that guess themselves, without a draft model
  Scheduler scheduler_;
  std::vector<std::unique_ptr<ActiveRequest>> requests_;
  StepperCounts counts_;

  // Of the step being made.
  std::vector<Token> tokens_;
  std::vector<ops::RowPlace> places_;
  std::vector<ops::KvSequence> sequences_;
  std::vector<std::span<const AdapterUse>> adapters_;  // of each sequence; empty: none has any
  std::vector<RowInput> inputs_;                       // where a prompt holds pictures
  std::vector<const float*> before_;                   // of each sequence, for a model that guesses
  std::vector<float> hidden_;                          // and what it made of every row
  std::vector<std::uint32_t> output_rows_;
  std::vector<Output> outputs_;
  std::unique_ptr<float[]> logits_;
  std::size_t logits_size_ = 0;
  std::vector<SamplerScratch> scratch_;  // per worker of the pool
};

}  // namespace hearth
