#include "runtime/penalties.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/fake_model.h"
#include "runtime/random.h"

using namespace hearth;

namespace {

std::vector<float> apply(const SamplingOptions& options, const std::vector<Token>& history,
                         std::size_t prompt_tokens, std::vector<float> logits,
                         const std::vector<std::string>& pieces = {}) {
  const FakeTokenizer tokenizer(static_cast<std::int32_t>(logits.size()), pieces);
  Penalties penalties(options, tokenizer, prompt_tokens);
  CHECK(penalties.active());
  // In parts, as an answer grows: only the last may count.
  for (std::size_t n = prompt_tokens; n < history.size(); ++n) {
    std::vector<float> ignored(logits.size(), 0);
    penalties.apply(std::span(history).first(n), ignored);
  }
  penalties.apply(history, logits);
  return logits;
}

using Floats = std::vector<float>;

}  // namespace

TEST_CASE("penalties: who is counted, and by how much") {
  const std::vector<Token> history{4, 4, 5, 2, 3, 3};  // the last three are the answer
  const Floats logits{1, 1, 2, 2, 2, -2};
  SUBCASE("repetition divides positive and multiplies negative logits, once each") {
    const SamplingOptions options{.repetition_penalty = 2};
    CHECK(apply(options, history, 3, logits) == Floats{1, 1, 1, 1, 1, -4});
  }
  SUBCASE("repetition looks back at the last n") {
    const SamplingOptions options{.repetition_penalty = 2, .penalty_last_n = 3};
    CHECK(apply(options, history, 3, logits) == Floats{1, 1, 1, 1, 2, -2});
  }
  SUBCASE("or at everything") {
    const SamplingOptions options{.repetition_penalty = 2, .penalty_last_n = -1};
    CHECK(apply(options, history, 3, logits) == Floats{1, 1, 1, 1, 1, -4});
  }
  SUBCASE("frequency and presence count the answer alone") {
    const SamplingOptions options{.frequency_penalty = 0.5f, .presence_penalty = 0.25f};
    CHECK(apply(options, history, 3, logits) == Floats{1, 1, 1.25f, 0.75f, 2, -2});
  }
  SUBCASE("a bias is added; -100 bans") {
    const SamplingOptions options{.logit_bias = {{0, 3}, {2, -100}, {3, -99}}};
    CHECK(apply(options, history, 3, logits) ==
          Floats{4, 1, -std::numeric_limits<float>::infinity(), -97, 2, -2});
  }
}

TEST_CASE("penalties that are off need no call") {
  const FakeTokenizer tokenizer(10);
  for (const SamplingOptions& options :
       {SamplingOptions{}, SamplingOptions{.repetition_penalty = 2, .penalty_last_n = 0},
        SamplingOptions{.dry_multiplier = 1, .dry_last_n = 0}})
    CHECK(!Penalties(options, tokenizer, 0).active());
}

TEST_CASE("repeated_runs agrees with comparing token by token") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    std::vector<Token> history(1 + seed);
    for (std::size_t i = 0; i < history.size(); ++i)
      history[i] = static_cast<Token>(uniform({.seed = seed, .stream = 0, .index = i}) *
                                      (seed % 3 == 0 ? 1 : 2));
    for (const std::uint32_t limit : {1u, 3u, 7u, 100u}) {
      std::vector<std::uint32_t> runs;
      repeated_runs(history, limit, runs);
      const std::size_t n = history.size();
      for (std::size_t i = 0; i + 1 < n; ++i) {
        std::uint32_t length = 0;
        while (length < limit && length <= i && history[i - length] == history[n - 1 - length])
          ++length;
        CHECK(runs[i] == length);
      }
    }
  }
}

TEST_CASE("DRY: a token that would lengthen a repeated run pays for the run's length") {
  // Pieces of tokens 2, 3, ...: token 10 breaks.
  const std::vector<std::string> pieces{"b", "c", "d", "e", "f", "g", "h", "i", "\n", "xx", "x\n"};
  const SamplingOptions options{.dry_multiplier = 0.8f};
  const auto loss = [&](const std::vector<Token>& history, Token token,
                        const SamplingOptions& with) {
    const Floats logits(16, 0.0f);
    return -apply(with, history, history.size(), logits, pieces)[static_cast<std::size_t>(token)];
  };
  const struct {
    std::string what;
    std::vector<Token> history;
    Token token;
    double run;  // 0: no penalty
  } rows[] = {
      {"a run of 2 is allowed_length: base^0", {2, 3, 4, 5, 2, 3}, 4, 2},
      {"a run of 4", {2, 3, 4, 5, 6, 7, 2, 3, 4, 5}, 6, 4},
      {"other tokens pay nothing", {2, 3, 4, 5, 6, 7, 2, 3, 4, 5}, 7, 0},
      {"a run of 1 is free", {2, 3, 7, 2}, 3, 0},
      {"the longest of several runs counts", {9, 3, 4, 6, 2, 3, 4, 6, 8, 2, 3, 4}, 6, 3},
      {"a run does not reach over a breaker", {2, 3, 10, 4, 5, 6, 2, 3, 10, 4}, 5, 0},
      {"behind the breaker it counts again", {2, 10, 3, 4, 5, 6, 2, 10, 3, 4}, 5, 2},
      {"a token that holds a breaker breaks", {2, 3, 12, 4, 5, 6, 2, 3, 12, 4}, 5, 0},
      {"a breaker itself is never penalised", {2, 3, 4, 10, 6, 2, 3, 4}, 10, 0},
      {"an overlapping repetition", {2, 2, 2, 2, 2}, 2, 4},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const double want = row.run == 0 ? 0 : 0.8 * std::pow(1.75, row.run - 2);
    CHECK(loss(row.history, row.token, options) == doctest::Approx(want));
  }
  SUBCASE("a breaker may be spread over tokens") {
    SamplingOptions with = options;
    with.dry_breakers = {"de"};
    CHECK(loss({2, 4, 5, 3, 6, 7, 2, 4, 5, 3}, 6, with) == 0);
    with.dry_breakers = {"ed"};
    CHECK(loss({2, 4, 5, 3, 6, 7, 2, 4, 5, 3}, 6, with) ==
          doctest::Approx(0.8 * std::pow(1.75, 2)));
  }
  SUBCASE("only the last n tokens are looked at") {
    SamplingOptions with = options;
    with.dry_last_n = 6;
    CHECK(loss({2, 3, 4, 5, 6, 7, 2, 3}, 4, with) == 0);
    with.dry_last_n = 8;
    CHECK(loss({2, 3, 4, 5, 6, 7, 2, 3}, 4, with) > 0);
  }
  SUBCASE("the penalty stays finite") {
    const std::vector<Token> history(3000, 2);
    CHECK(std::isfinite(loss(history, 2, options)));
  }
}
