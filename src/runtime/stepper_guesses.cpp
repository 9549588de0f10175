// What is guessed before a step, and what of it turns out right.
#include <algorithm>

#include "base/log.h"
#include "runtime/step_stop.h"
#include "runtime/stepper.h"

namespace hearth {

// The text itself is asked first: that costs nothing.
void Stepper::guess(const std::stop_token& leaving) {
  const auto room = scheduler_.guessing_room();
  for (Sequence* sequence : scheduler_.running_sequences()) {
    sequence->drafts.clear();
    sequence->draft_kinds.clear();
    if (const std::size_t most = sequence->may_guess(room.most); most > 0)
      sequence->guess(most, room.costs);
  }
  if (room.most == 0) return;
  if (draft_model_) guess_by(*draft_model_, room, leaving);
  if (mtp_) guess_by(*mtp_, room, leaving);
}

std::optional<DraftModel::Wish> Stepper::wish_for(DraftModel& guesser, Sequence& sequence,
                                                  std::size_t most) {
  if (!sequence.draft_reader)
    sequence.draft_reader.emplace(guesser.begin(cache_salt(sequence.request.asked)));
  return DraftModel::Wish{&*sequence.draft_reader, sequence.tokens, most};
}

std::optional<MtpDrafter::Wish> Stepper::wish_for(MtpDrafter&, Sequence& sequence,
                                                  std::size_t most) {
  const float* before = sequence.mtp_state.at(sequence.tokens.size() - 1);
  if (before == nullptr) return std::nullopt;
  return MtpDrafter::Wish{&sequence.pages, sequence.tokens, before, most};
}

template <typename Guesser>
void Stepper::guess_by(Guesser& guesser, const Scheduler::GuessingRoom& room,
                       const std::stop_token& leaving) {
  std::vector<typename Guesser::Wish> wishes;
  std::vector<Sequence*> wishing;
  StepStop stop(leaving);
  for (Sequence* sequence : scheduler_.running_sequences()) {
    const std::size_t most = sequence->drafts.empty() ? sequence->may_guess(room.most) : 0;
    // Nor does it see, or spend more than a request has allowed.
    if (most == 0 || std::ranges::any_of(sequence->tokens, is_picture_row)) continue;
    auto wish = wish_for(guesser, *sequence, most);
    if (!wish) continue;
    stop.add(sequence->request.asked.stop_token);
    wishes.push_back(std::move(*wish));
    wishing.push_back(sequence);
  }
  if (wishes.empty()) return;
  stop.arm();
  const Status guessed = guesser.draft(wishes, room.costs, stop.token());
  if (!guessed.ok()) {
    if (guessed.error().kind() != ErrorKind::cancelled)
      log_warning("draft_failed why={}", guessed.error().message());
    return;
  }
  const auto vocabulary = static_cast<Token>(model_.info().vocabulary);
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    const auto& drafts = wishes[i].draft.tokens;
    const auto end = std::ranges::find_if(drafts, [&](Token token) { return token >= vocabulary; });
    wishing[i]->drafts.assign(drafts.begin(), end);
    wishing[i]->draft_kinds = std::move(wishes[i].draft.kinds);
  }
}

// What the trunk made of the last certain row and of right guesses, for guesses and later rows.
std::span<const float> Stepper::made_of(std::size_t row) const {
  const std::size_t dim = model_.info().dim;
  return std::span(hidden_).subspan(row * dim, dim);
}

// Where the token chosen is the one guessed, the row computed behind it holds the next logits.
void Stepper::follow_drafts() {
  for (std::vector<Output> delivered = std::move(outputs_); !delivered.empty();
       delivered = std::move(outputs_)) {
    outputs_.clear();
    for (const Output& output : delivered) {
      Sequence& sequence = *output.sequence;
      if (output.scored || sequence.drafts.empty()) continue;
      const bool is_right = output.draft < sequence.drafts.size() && output.token.ok() &&
                            *output.token == sequence.drafts[output.draft];
      const std::size_t right = output.draft + (is_right ? 1 : 0);
      if (is_right && !sequence.is_finished) {
        sequence.pages.right_guess(sequence.tokens);
        if (mtp_) sequence.mtp_state.add(made_of(output_rows_[output.row + 1]));
        outputs_.push_back(
            {.sequence = &sequence, .row = output.row + 1, .draft = right, .scored = {}});
        continue;
      }
      counts_.guessed += sequence.drafts.size();
      counts_.guessed_right += right;
      sequence.request.usage.guessed_tokens += static_cast<std::int64_t>(sequence.drafts.size());
      sequence.request.usage.guessed_right += static_cast<std::int64_t>(right);
      if (!sequence.draft_kinds.empty())
        odds().report(sequence.draft_kinds, sequence.drafts.size(), right);
      else
        sequence.drafter.report(sequence.drafts.size(), right);
      if (!sequence.is_finished)
        sequence.pages.end_guesses(sequence.tokens, sequence.drafts.size());
      sequence.drafts.clear();
    }
    choose();
    for (Output& output : outputs_) deliver(output);
  }
}

}  // namespace hearth
