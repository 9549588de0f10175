// Regular expressions that tokenizer files hold, and the scanners that do the same.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "text/pretokenizer/pretokenizer.h"

namespace hearth {

struct KnownPattern {
  std::string_view regex;  // as canonical_pattern() writes it
  Scanner scanner;
  bool covers = false;  // every character of any text is in some match
};
std::span<const KnownPattern> known_patterns();

// null: not known.
const KnownPattern* find_known_pattern(std::string_view regex);

// Possessive quantifiers become greedy ones, and newlines their escapes: for the patterns in the
// table that changes nothing.
std::string canonical_pattern(std::string_view regex);

}  // namespace hearth
