// MtpDrafter: guesses of the layer that some models bring for it (multi-token prediction).  It
// reads what the trunk made of the last row, and its keys and values lie in the sequence's own
// pages.
#pragma once

#include <cstddef>
#include <span>
#include <stop_token>
#include <vector>

#include "models/model.h"
#include "runtime/draft_odds.h"
#include "runtime/sequence_pages.h"

namespace hearth {

// What the trunk made of rows of a sequence that follow one another, the first of them before
// position `behind`: [rows, dim].
struct MtpState {
  std::size_t behind = 0, dim = 0;
  std::vector<float> values = {};

  void begin(std::size_t position, std::span<const float> made) {
    behind = position;
    dim = made.size();
    values.assign(made.begin(), made.end());
  }
  void add(std::span<const float> made) { values.insert(values.end(), made.begin(), made.end()); }
  // Of the row before `position`, [dim]; nullptr: not known.
  const float* at(std::size_t position) const {
    const bool is_known = position >= behind && (position - behind) * dim < values.size();
    return is_known ? values.data() + (position - behind) * dim : nullptr;
  }
};

// Used by one thread.
class MtpDrafter {
 public:
  struct Wish {
    SequencePages* pages = nullptr;
    std::span<const Token> tokens;  // the whole sequence, of which the last is not computed
    const float* before = nullptr;  // what the trunk made of the one before it
    std::size_t most = 0;           // at most so many
    DraftCourse draft = {};         // what comes of it; no token: none, or it would not pay
  };

  // The model guesses, and outlives this.
  MtpDrafter(const Model& model, const ops::Context& context);

  // Fills the wishes' drafts.  Errors: those of Model::guess.
  Status draft(std::span<Wish> wishes, const GuessCosts& costs, const std::stop_token& stop);

  DraftOdds& odds() { return odds_; }

 private:
  Status round(std::span<Wish* const> drafts, const std::stop_token& stop);

  const Model& model_;
  ops::Context context_;
  DraftOdds odds_;

  // Of the round being made, and what the next one reads: [drafts, vocabulary], [drafts, dim].
  std::vector<float> logits_, hidden_, before_;
};

}  // namespace hearth
