// What history does to the next token's logits: logit bias, repetition, frequency and presence
// penalties, and DRY.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "runtime/sampling.h"
#include "text/tokenizer.h"

namespace hearth {

// Follows one answer.  Used by one thread at a time.  Keeps references to both arguments.
//
// Source: repetition: Keskar et al. 2019, section 4.1 (positive logits are divided, others
// multiplied); frequency and presence: OpenAI API reference, "Create chat completion"; DRY: the
// proposal of its author, oobabooga/text-generation-webui pull request 5677.
class Penalties {
 public:
  Penalties(const SamplingOptions& options, const Tokenizer& tokenizer, std::size_t prompt_tokens);

  // Whether apply() can change anything; when not, it need not be called.
  bool active() const;

  // history: the prompt and the answer so far; each call's begins with the one before it.
  void apply(std::span<const Token> history, std::span<float> logits);

 private:
  void consume(std::span<const Token> history);
  void repeat(std::span<float> logits) const;
  void dry(std::span<const Token> history, std::span<float> logits);
  bool dry_active() const { return options_.dry_multiplier > 0 && options_.dry_last_n != 0; }
  bool repetition_active() const {
    return options_.repetition_penalty != 1 && options_.penalty_last_n != 0;
  }
  bool breaks(std::string_view piece) const;

  const SamplingOptions& options_;
  const Tokenizer& tokenizer_;
  std::size_t prompt_tokens_;

  std::size_t seen_ = 0;                          // tokens of the history counted below
  std::unordered_map<Token, int> window_, made_;  // counts in the last n, and in the answer
  std::vector<bool> break_at_;                    // a breaker's text ends within this token
  std::string tail_;                              // the last bytes of the text, for such breakers
  std::vector<std::uint32_t> runs_;               // scratch of dry()
};

// For every i: how long the run ending at i is that also ends the history, at most `limit`.
// runs[last] is `limit`.  Linear in the history.
void repeated_runs(std::span<const Token> history, std::uint32_t limit,
                   std::vector<std::uint32_t>& runs);

}  // namespace hearth
