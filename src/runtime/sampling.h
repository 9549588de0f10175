// How the next token is chosen from logits.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace hearth {

// Defaults are "off" but for temperature; temperature 0 is greedy (the first of equal maxima), and
// so is any below greedy_below.  Order: logit bias, penalties, DRY, then top-k, typical, top-p,
// min-p, temperature; each truncation renormalises what the one before it left and leaves at least
// one token.  Mirostat replaces the truncations and follows the temperature.
// The repetition penalty and DRY look at prompt and answer; frequency and presence at the answer.
struct SamplingOptions {
  float temperature = 1.0f;                                 // [0, 2]
  std::int32_t top_k = 0;                                   // 0: off
  float top_p = 1.0f;                                       // (0, 1]
  float min_p = 0.0f;                                       // [0, 1]
  float typical_p = 1.0f;                                   // (0, 1]; Meister et al. 2022
  float repetition_penalty = 1.0f;                          // > 0; Keskar et al. 2019
  float frequency_penalty = 0.0f, presence_penalty = 0.0f;  // [-2, 2]
  std::int32_t penalty_last_n = 64;  // tokens looked back at by the repetition penalty; -1: all
  // "Don't repeat yourself": a token that would lengthen a repeated run of `length` tokens loses
  // multiplier * base^(length - allowed_length).  Runs do not reach over breakers.
  float dry_multiplier = 0.0f;  // 0: off
  float dry_base = 1.75f;
  std::int32_t dry_allowed_length = 2;
  std::int32_t dry_last_n = -1;
  std::vector<std::string> dry_breakers = {"\n", ":", "\"", "*"};
  int mirostat = 0;  // 0 off, 1 or 2; Basu et al. 2020
  float mirostat_tau = 5.0f, mirostat_eta = 0.1f;
  std::map<Token, float> logit_bias = {};  // added to logits, [-100, 100]; -100 bans
  // Each token's random number is a function of (seed, choice, place in the answer) alone: same
  // request and seed, same text.  Whoever wants another text each time draws a seed first.
  std::uint64_t seed = 0;
};

constexpr float greedy_below = 1e-4f;  // a smaller temperature would overflow the division by it

// Far above what clients send: they bound the work per token.
constexpr std::size_t max_logit_biases = 1024;
constexpr std::size_t max_dry_breakers = 64;
constexpr std::size_t max_dry_breaker_bytes = 64;

struct TokenLogprob {
  Token token;
  float logprob;
};

// Refuses values out of range, by name.
Status validate(const SamplingOptions& options, std::int32_t vocabulary);

}  // namespace hearth
