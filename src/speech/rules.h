// What Whisper may say next, and how one window of sound is written down.
// Source: Radford et al. 2022, section 4.5; openai/whisper, decoding.py.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "speech/codes.h"

namespace hearth::speech {

struct RuleOptions {
  bool timestamps = true;
};

// Makes what may not follow `made` impossible (minus infinity).  logits: [vocabulary].
void apply_rules(std::span<float> logits, std::span<const Token> made, const Codes& codes,
                 const RuleOptions& options);

// In place: logarithms of probabilities.  Returns nothing that is not finite but minus infinity.
void log_softmax(std::span<float> logits);

// One stretch of a window between two timestamps.
struct Stretch {
  std::uint32_t begin = 0, end = 0;  // in 20 ms from the window's start
  std::vector<Token> tokens;         // timestamps included
};
struct Stretches {
  std::vector<Stretch> list;
  std::uint32_t heard_frames = 0;  // of mel: where the next window begins
};
// Cuts what was said of `frames` of mel.
Stretches cut_into_stretches(std::span<const Token> said, std::uint32_t frames, const Codes& codes);

}  // namespace hearth::speech
