// How the next token is chosen from logits.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace hearth {

// Defaults are "off" but for temperature; temperature 0 is greedy (the first of equal maxima).
// Order: logit bias, penalties, DRY, then top-k, typical, top-p, min-p, temperature; mirostat
// replaces the truncations.
struct SamplingOptions {
  float temperature = 1.0f;                                 // [0, 2]
  std::int32_t top_k = 0;                                   // 0: off
  float top_p = 1.0f;                                       // (0, 1]
  float min_p = 0.0f;                                       // [0, 1]
  float typical_p = 1.0f;                                   // (0, 1]; Meister et al. 2022
  float repetition_penalty = 1.0f;                          // > 0; Keskar et al. 2019
  float frequency_penalty = 0.0f, presence_penalty = 0.0f;  // [-2, 2]
  std::int32_t penalty_last_n = 64;  // tokens looked back at by the repetition penalty; -1: all
  // "Don't repeat yourself": penalises tokens that would lengthen a repeated run.
  float dry_multiplier = 0.0f;  // 0: off
  float dry_base = 1.75f;
  std::int32_t dry_allowed_length = 2;
  std::int32_t dry_last_n = -1;
  std::vector<std::string> dry_breakers = {"\n", ":", "\"", "*"};
  int mirostat = 0;  // 0 off, 1 or 2; Basu et al. 2020
  float mirostat_tau = 5.0f, mirostat_eta = 0.1f;
  std::map<Token, float> logit_bias;  // added to logits, [-100, 100]; -100 bans
  std::uint64_t seed = 0;             // same request and seed: same text
};

// Refuses values out of range, by name.
Status validate(const SamplingOptions& options, std::int32_t vocabulary);

}  // namespace hearth
