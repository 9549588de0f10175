// What comes out of the steps: choices, ends, log probabilities, the same text every time.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "runtime/step_harness.h"

using namespace hearth;

TEST_CASE("n choices compute the prompt once and go their own ways") {
  Harness harness;
  GenerateRequest request;
  request.prompt = prompt_of(70, 4);
  request.max_tokens = 40;
  request.sampling.seed = 12;
  request.n = 4;
  Call& call = harness.add(request);
  harness.run();
  std::size_t rows = 0;
  for (const std::size_t n : harness.rows) rows += n;
  CHECK(rows == 70 + 4 * 39);
  std::set<std::string> texts;
  for (const Heard& heard : call.choices) {
    CHECK(heard.tokens.size() == 40);
    texts.insert(heard.text);
  }
  CHECK(texts.size() == 4);
  CHECK(call.usage.completion_tokens == 160);

  request.n = 1;
  Call& one = harness.add(request);
  harness.run();
  CHECK(one.only().text == call.choices.front().text);  // the same seed, the same choice
}

TEST_CASE("the same seed gives the same text, alone or in company, whatever was preempted") {
  GenerateRequest request;
  request.prompt = prompt_of(50, 8);
  request.max_tokens = 60;
  request.sampling = {.temperature = 0.8f, .top_p = 0.9f, .frequency_penalty = 0.3f, .seed = 77};
  std::string alone;
  for (const std::uint32_t pages : {0u, 12u}) {
    Harness harness({}, {.kv_pages = pages, .step_tokens = 32, .max_running = 8});
    if (pages > 0)
      for (std::uint64_t i = 0; i < 6; ++i) harness.add(greedy(prompt_of(30 + 7 * i, i), 70));
    const Call& call = harness.add(request);
    harness.run();
    if (pages == 0) alone = call.only().text;
    CHECK(call.only().text == alone);
  }
}

TEST_CASE("deterministic requests do not see the load, the cache or the chunks") {
  const auto prompt = prompt_of(150, 3);
  std::set<std::vector<Token>> plain, exact;
  for (const bool deterministic : {false, true})
    for (const int load : {0, 3, 9})
      for (const std::uint32_t step_tokens : {16u, 256u}) {
        Harness harness({.is_noisy = true},
                        {.kv_pages = 0, .step_tokens = step_tokens, .max_running = 0});
        for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(load); ++i)
          harness.add(greedy(prompt_of(20 * i + 1, i), 50));
        harness.add(greedy(prompt, 3));  // leaves inexact pages of the same prompt behind
        if (load > 0) harness.run();
        auto request = greedy(prompt, 40);
        request.deterministic = deterministic;
        const Call& first = harness.add(request);
        if (load == 9) harness.run();
        const Call& second = harness.add(request);
        harness.run();
        auto& set = deterministic ? exact : plain;
        set.insert(first.only().ids());
        set.insert(second.only().ids());
      }
  CHECK(exact.size() == 1);
  CHECK(*exact.begin() == FakeModel().expected(prompt, 40));
  CHECK(plain.size() > 1);  // the fake is noisy indeed
}

TEST_CASE("how an answer ends") {
  // Says pieces 2, 3, 4, ... after the prompt, and then the end.
  const FakeOptions options{.pieces = {"one ", "two ", "three ", "four "},
                            .logits = [](std::span<const Token> history, std::span<float> logits) {
                              std::ranges::fill(logits, 0.0f);
                              logits[history.size() > 4 ? 0 : history.size() + 1] = 5;
                            }};
  const struct {
    std::string what;
    std::function<void(GenerateRequest&)> change;
    std::string text;
    FinishReason finish;
    std::int64_t tokens;
  } rows[] = {
      {"the model's end", [](auto&) {}, "one two three four ", FinishReason::stop, 5},
      {"length", [](auto& r) { r.max_tokens = 2; }, "one two ", FinishReason::length, 2},
      {"length, with a stop begun", [](auto& r) { r.max_tokens = 2, r.stop = {"two X"}; },
       "one two ", FinishReason::length, 2},
      {"a stop string", [](auto& r) { r.stop = {"no", "o thr"}; }, "one tw", FinishReason::stop, 3},
      {"a stop token", [](auto& r) { r.stop_tokens = {4}; }, "one two ", FinishReason::stop, 3},
      {"past the end", [](auto& r) { r.ignore_end = true, r.max_tokens = 7; },
       "one two three four ", FinishReason::length, 7},
      {"past the end, shown",
       [](auto& r) { r.ignore_end = r.show_special = true, r.max_tokens = 6; },
       "one two three four <end><end>", FinishReason::length, 6},
      {"a bias bans the word",
       [](auto& r) { r.sampling.logit_bias = {{3, -100}, {2, 1}}, r.max_tokens = 2; }, "one one ",
       FinishReason::length, 2},
      {"nothing wanted", [](auto& r) { r.max_tokens = 0; }, "", FinishReason::length, 0},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    Harness harness(options);
    auto request = greedy({1}, 100);
    row.change(request);
    const Call& call = harness.add(request);
    harness.run();
    CHECK(call.only().text == row.text);
    CHECK(call.only().finish == row.finish);
    CHECK(call.usage.completion_tokens == row.tokens);
    CHECK(call.only().stop_string == (row.what == "a stop string" ? "o thr" : ""));
  }
}

TEST_CASE("the space before the first word of a text is dropped, elsewhere it stays") {
  const FakeOptions options{.pieces = {" Once", " upon"},
                            .logits = [](std::span<const Token> history, std::span<float> logits) {
                              std::ranges::fill(logits, 0.0f);
                              logits[history.size() % 2 == 1 ? 2 : 3] = 5;
                            }};
  Harness harness(options);
  const Call& begin = harness.add(greedy({1}, 3));
  const Call& inside = harness.add(greedy({1, 2, 3}, 3));
  harness.run();
  CHECK(begin.only().text == "Once upon Once");
  CHECK(inside.only().text == " Once upon Once");
}

TEST_CASE("logprobs come with the tokens; those of the prompt before them") {
  Harness harness;
  for (const std::size_t tokens : {1, 2, 150}) {
    CAPTURE(tokens);
    auto request = greedy(prompt_of(tokens, 6), 4);
    request.logprobs = request.prompt_logprobs = true;
    request.top_logprobs = 3;
    request.n = 2;
    harness.add(request);  // the second finds the first one's pages, and must not use them
    const Call& call = harness.add(request);
    harness.run();
    const Heard& heard = call.only();
    REQUIRE(heard.prompt.size() == tokens);
    CHECK(heard.prompt.front().alternatives.empty());
    for (std::size_t i = 0; i < tokens; ++i) {
      CHECK(heard.prompt[i].token == request.prompt[i]);
      if (i == 0) continue;
      REQUIRE(heard.prompt[i].alternatives.size() == 3);
      const std::vector<Token> before(request.prompt.begin(),
                                      request.prompt.begin() + static_cast<std::ptrdiff_t>(i));
      CHECK(heard.prompt[i].alternatives.front().token ==
            harness.model->expected(before, 1).front());
      CHECK(heard.prompt[i].logprob <= heard.prompt[i].alternatives.front().logprob);
    }
    for (const Heard& choice : call.choices) {
      REQUIRE(choice.tokens.size() == 4);
      for (const TokenInfo& token : choice.tokens) {
        CHECK(token.alternatives.front().token == token.token);
        CHECK(token.alternatives.front().logprob == token.logprob);
        CHECK(token.logprob < 0);
      }
    }
    CHECK(call.choices.back().prompt.empty());
  }
}

TEST_CASE("a row of bad logits fails its request alone") {
  const FakeOptions options{.logits = [](std::span<const Token> history, std::span<float> logits) {
    std::ranges::fill(logits, 1.0f);
    logits[2] = 2;
    if (history.front() == 9 && history.size() > 5)
      logits[3] = std::numeric_limits<float>::quiet_NaN();
  }};
  Harness harness(options);
  const Call& good = harness.add(greedy({8}, 20));
  auto request = greedy({9}, 20);
  request.n = 3;
  const Call& bad = harness.add(request);
  harness.run();
  CHECK(good.only().finish == FinishReason::length);
  REQUIRE(bad.error);
  CHECK(bad.error->message().find("token 3 is nan") != std::string::npos);
  for (const Heard& heard : bad.choices) CHECK(heard.finish == FinishReason::error);
  CHECK(harness.stepper->counts().failed == 1);
}
