// One request being answered, and the sequences (one per choice) that answer it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/draft_model.h"
#include "runtime/drafter.h"
#include "runtime/mtp_drafter.h"
#include "runtime/prompt_rows.h"
#include "runtime/runner.h"
#include "runtime/sampler.h"
#include "runtime/sequence_pages.h"
#include "runtime/text_stream.h"
#include "text/grammar/constraint.h"

namespace hearth {

using Clock = std::chrono::steady_clock;

// 0 where one of them was not reached.
inline double seconds(Clock::time_point from, Clock::time_point to) {
  if (from == Clock::time_point{} || to == Clock::time_point{}) return 0;
  return std::chrono::duration<double>(to - from).count();
}

struct Sequence;

// So few that rows which are computed again, and guesses, go one by one through states, as the rows
// of other steps do: models compute longer runs in chunks, which is the same to rounding alone.
constexpr std::size_t most_guessed_of_states = 14;

// A request that submit() has accepted.
struct ActiveRequest {
  std::uint64_t arrival = 0;  // 1, 2, 3, ...
  GenerateRequest asked;
  PromptRows rows;  // of pictures
  OnEvent on_event;
  std::int64_t max_tokens = 0;  // of one choice; fits the context
  bool deterministic = false;
  ops::Tier tier = ops::Tier::accurate;

  // One until the prompt is computed, then one per choice.
  std::vector<std::unique_ptr<Sequence>> choices;
  bool is_forked = false;
  int finished = 0;        // choices
  bool is_over = false;    // the last event is out
  std::size_t scored = 1;  // tokens of the prompt whose logprobs are out
  Usage usage;
  Clock::time_point submitted, admitted, answering;
};

// Neither copied nor moved: sampler and text refer to the request.
struct Sequence {
  Sequence(ActiveRequest& owner, int which, SequencePages own_pages, const Tokenizer& tokenizer)
      : request(owner),
        choice(which),
        tokens(owner.asked.prompt),
        pages(std::move(own_pages)),
        sampler(owner.asked.sampling, tokenizer, owner.asked.prompt.size(), which),
        text(owner.asked.stop) {
    if (owner.asked.constraint) constraint.emplace(*owner.asked.constraint, tokenizer);
    if (owner.asked.predicted.empty()) return;
    drafter = Drafter(1);
    predicted_first.push_back(no_token);
    for (const Token token : owner.asked.predicted) predicted_first.push_back(token);
  }

  ActiveRequest& request;
  int choice;
  std::vector<Token> tokens;  // prompt and answer; see PromptRows
  SequencePages pages;
  Sampler sampler;
  TextStream text;
  std::optional<ConstraintReader> constraint;
  std::size_t adopted = 0;  // positions found in the prefix cache
  static constexpr Token no_token = -1;
  // Of a request that predicts its answer: no token, what is predicted, and `tokens`, for the
  // drafter.
  std::vector<Token> predicted_first;
  Drafter drafter;
  std::optional<DraftReader> draft_reader;  // what a draft model knows of it
  MtpState mtp_state;                       // of models that guess themselves
  std::vector<Token> drafts;                // guessed, computed in this step behind the last token
  std::vector<std::size_t> draft_kinds;     // of those that a model guessed; see DraftOdds
  bool is_finished = false;

  std::size_t pending() const { return tokens.size() - pages.computed(); }
  // Its next step computes its next token: only right guesses of the last step, if anything, are
  // computed again before.
  bool generates() const { return pending() == 1 + pages.taken_back(); }
  std::int64_t generated() const {
    return static_cast<std::int64_t>(tokens.size() - request.asked.prompt.size());
  }
  // How many of the next tokens may be guessed, of `most` that there is room for.
  std::size_t may_guess(std::size_t most) const {
    const std::int64_t left = request.max_tokens - generated() - 1;
    if (!generates() || left <= 0 || !request.asked.speculate || constraint) return 0;
    if (pages.recurs()) most = std::min(most, most_guessed_of_states);
    most -= std::min(most, pages.taken_back());
    return std::min(most, static_cast<std::size_t>(left));
  }
  // Takes what the text so far suggests as the next step's drafts, as many as pay.
  void guess(std::size_t most, const GuessCosts& costs) {
    std::span<const Token> texts = tokens;
    if (const std::size_t predicted = request.asked.predicted.size(); predicted > 0) {
      const std::size_t known = predicted_first.size() - predicted - 1;
      predicted_first.insert(predicted_first.end(),
                             tokens.begin() + static_cast<std::ptrdiff_t>(known), tokens.end());
      texts = predicted_first;
    }
    const auto guessed = drafter.draft(texts, most, costs);
    drafts.assign(guessed.begin(),
                  std::ranges::find_if(guessed, [](Token token) { return token < 0; }));
  }
  // Older sequences go first.
  bool is_older_than(const Sequence& other) const {
    if (request.arrival != other.request.arrival) return request.arrival < other.request.arrival;
    return choice < other.choice;
  }
  // How many sequences of a batch it is or will be.
  std::uint32_t width() const {
    return request.is_forked ? 1 : static_cast<std::uint32_t>(request.asked.n);
  }
};

}  // namespace hearth
