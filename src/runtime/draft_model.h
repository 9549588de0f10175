// DraftModel: a small model that guesses what a large one says next.  The large one computes the
// guesses together and keeps those that it would have chosen, so that no token changes.
// Source: Leviathan, Kalman, Matias, "Fast Inference from Transformers via Speculative Decoding",
// 2023; guesses are the small model's likeliest tokens, and how far they go follows from how often
// guesses of that probability were right.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "models/model.h"
#include "ops/context.h"
#include "runtime/draft_odds.h"
#include "runtime/sequence_pages.h"

namespace hearth {

// What the small model has read of one sequence.
struct DraftReader {
  explicit DraftReader(SequencePages own) : pages(std::move(own)) {}

  SequencePages pages;
  std::vector<Token> ahead;  // computed behind the positions of `pages`
};

// Used by one thread.
class DraftModel {
 public:
  struct Wish {
    DraftReader* reader = nullptr;
    std::span<const Token> tokens;  // the whole sequence; only grows from draft to draft
    std::size_t most = 0;           // at most so many
    DraftCourse draft = {};         // what comes of it; no token: none, or it would not pay
  };

  // `weight_share`: the small model's weights in those of the large one.
  DraftModel(std::shared_ptr<const Model> model, const ops::Context& context,
             std::uint32_t kv_pages, std::size_t step_tokens, double weight_share);

  DraftReader begin(std::string_view salt);
  std::uint64_t kv_bytes() const;        // of keys and values, used and kept
  std::uint64_t kv_bytes_total() const;  // at most

  // Fills the wishes' drafts.  A sequence that it has not read is read first, a step's worth of
  // rows at a time.  Errors: those of Model::forward.
  Status draft(std::span<Wish> wishes, const GuessCosts& costs, const std::stop_token& stop);

  DraftOdds& odds() { return odds_; }

 private:
  std::vector<Wish*> admit(std::span<Wish> wishes, const GuessCosts& costs);
  bool read_on(Wish& wish, std::size_t& budget);
  void add_rows(const Wish& wish, std::size_t begin, std::size_t end);
  Status forward(const std::stop_token& stop);

  const std::shared_ptr<const Model> model_;
  ops::Context context_;
  const std::size_t step_tokens_;
  KvCache cache_;
  DraftOdds odds_;

  // Of the forward being made.
  std::vector<Token> tokens_;
  std::vector<ops::RowPlace> places_;
  std::vector<ops::KvSequence> sequences_;
  std::vector<std::uint32_t> output_rows_;
  std::vector<float> logits_;
};

// Whether one model's guesses mean the same to the other.  Errors: unsupported, with what differs.
Status check_draft_model(const Model& large, const Model& small);

}  // namespace hearth
