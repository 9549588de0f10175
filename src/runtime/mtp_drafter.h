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

// What the trunk made of a sequence's row before position `behind`: [dim]; empty: not known.
struct MtpState {
  std::size_t behind = 0;
  std::vector<float> values = {};

  const float* at(std::size_t position) const {
    return behind == position && !values.empty() ? values.data() : nullptr;
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
  Status draft(std::span<Wish> wishes, const DraftCosts& costs, const std::stop_token& stop);

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
