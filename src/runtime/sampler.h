// Sampler: picks the tokens of one answer from rows of logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "runtime/candidates.h"
#include "runtime/penalties.h"
#include "runtime/sampling.h"

namespace hearth {

// Working memory of one thread, kept from row to row.
struct SamplerScratch {
  std::vector<float> logits, weights;
  std::vector<Candidate> candidates;
  std::vector<std::uint64_t> allowed;  // a set of tokens, for whoever calls the sampler
};

// Used by one thread at a time.  Keeps references to options and tokenizer; is never moved.
class Sampler {
 public:
  // options have passed validate().  choice: which of n answers.
  Sampler(const SamplingOptions& options, const Tokenizer& tokenizer, std::size_t prompt_tokens,
          int choice);
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  // The token after `history` (prompt and answer so far), from its row of raw logits.  allowed: bit
  // t of word t / 64 is set where token t may come; empty: any may.
  // Errors: corrupt (a NaN or infinite logit, or none that is finite); invalid (none is allowed).
  Result<Token> pick(std::span<const Token> history, std::span<const float> logits,
                     SamplerScratch& scratch, std::span<const std::uint64_t> allowed = {});

  float mirostat_mu() const { return mu_; }

 private:
  Token truncated(std::span<const float> logits, float best, SamplerScratch& scratch);
  Token mirostat_1(std::span<const float> logits, float best, SamplerScratch& scratch);
  Token mirostat_2(std::span<const float> logits, float best, SamplerScratch& scratch);
  Token draw(std::span<const Candidate> candidates, float best) const;
  Token draw(std::span<const float> logits, float best, std::vector<float>& weights) const;
  void observe(double surprise_bits);

  const SamplingOptions& options_;
  Penalties penalties_;
  std::size_t prompt_tokens_;
  int choice_;
  double random_ = 0;  // of the token being picked
  float mu_;           // mirostat's bound on surprise, bits
};

// log p of `token` and of the `top` best tokens under softmax(logits): raw logits, before any
// option of sampling, as the OpenAI API has it.  Alternatives are best first, of equals the lower
// token first.  Errors: as Sampler::pick.
struct Logprobs {
  float logprob = 0;
  std::vector<TokenLogprob> alternatives;
};
Result<Logprobs> log_probabilities(std::span<const float> logits, Token token, int top,
                                   SamplerScratch& scratch);

}  // namespace hearth
