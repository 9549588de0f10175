// Normalizer: what is done to text before it is cut into pieces.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth {

struct NormalizerInput {
  std::string_view text;  // valid UTF-8 unless the tokenizer takes any bytes
  bool at_start;          // of the user's text
  bool after_token;       // at the start, or behind a token found in the text
};

// Immutable; thread-safe.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual Result<std::string> apply(const NormalizerInput& input) const = 0;
};

}  // namespace hearth
