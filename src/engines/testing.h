// What tests of engines share: what a model goes on with, and what it should.
#pragma once

#include <doctest/doctest.h>

#include <charconv>
#include <string>
#include <vector>

#include "base/files.h"
#include "runtime/request_testing.h"

namespace hearth::testing {

// expected.txt of the folder: numbers with a blank between them.
inline std::vector<Token> expected_tokens(const std::string& folder) {
  const std::string text = *read_file(folder + "/expected.txt", 1 << 16);
  std::vector<Token> tokens;
  for (const char *at = text.data(), *end = at + text.size(); at < end; ++at) {
    Token token = 0;
    at = std::from_chars(at, end, token).ptr;
    tokens.push_back(token);
  }
  return tokens;
}

inline std::vector<Token> generated(Runner& runner, GenerateRequest request) {
  const auto answer = generate(runner, std::move(request));
  REQUIRE_MESSAGE(answer.ok(), answer.error().message());
  std::vector<Token> tokens;
  for (const TokenInfo& token : answer->tokens) tokens.push_back(token.token);
  return tokens;
}

}  // namespace hearth::testing
