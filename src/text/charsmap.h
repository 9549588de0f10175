// CharsMap: SentencePiece's precompiled normalization, a double array of rules and their results.
// Source: google/sentencepiece, src/normalizer.cc; the array is that of darts-clone.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

// Immutable; thread-safe.
class CharsMap {
 public:
  CharsMap() = default;
  // Bytes: u32 size of the array, the array of u32 units, results that end in NUL each.
  // Errors: corrupt, for a size that does not fit.
  static Result<CharsMap> read(std::span<const std::byte> bytes);
  bool empty() const { return units_.empty(); }

  struct Match {
    std::size_t size;         // bytes of the text that the rule replaces
    std::string_view result;  // by this
  };
  enum class Which { shortest, longest };
  // The rule that begins `text`.  Walks that leave the array end there.
  std::optional<Match> find(std::string_view text, Which which) const;

  // False: no rule begins with this byte.
  bool may_begin(char byte) const;

  // Hugging Face's way of using the rules: whole graphemes of less than six bytes first, then
  // characters; and of the rules that fit, the shortest.  `text` is valid UTF-8.
  std::string normalize_graphemes(std::string_view text) const;

 private:
  std::vector<std::uint32_t> units_;
  std::string results_;
};

}  // namespace hearth
