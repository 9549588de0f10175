// What tests of pages share: sequences whose positions hold their tokens.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <numeric>
#include <span>
#include <vector>

#include "runtime/sequence_pages.h"

namespace hearth::testing {

inline std::vector<Token> tokens_from(Token first, std::size_t n) {
  std::vector<Token> tokens(n);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

// Computes all of `tokens`: each position holds its token.
inline void compute(SequencePages& pages, std::span<const Token> tokens) {
  REQUIRE(pages.reserve(tokens.size()) == tokens.size());
  for (std::size_t i = pages.computed(); i < tokens.size(); ++i)
    std::memcpy(pages.data()[i / 32] + i % 32 * sizeof(Token), &tokens[i], sizeof(Token));
  pages.advance(tokens, tokens.size() - pages.computed());
}

}  // namespace hearth::testing
