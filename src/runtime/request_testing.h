// What tests ask for.
#pragma once

#include <utility>
#include <vector>

#include "runtime/runner.h"

namespace hearth::testing {

inline GenerateRequest greedy(std::vector<Token> prompt, std::int64_t tokens) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = tokens;
  request.sampling.temperature = 0;
  return request;
}

// Whatever the model says of its end.
inline GenerateRequest greedy_past_end(std::vector<Token> prompt, std::int64_t tokens) {
  GenerateRequest request = greedy(std::move(prompt), tokens);
  request.ignore_end = true;
  return request;
}

}  // namespace hearth::testing
