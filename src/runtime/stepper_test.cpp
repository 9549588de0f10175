// One thread, step by step: what runs in each step.
#include "runtime/stepper.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/step_harness.h"

using namespace hearth;

TEST_CASE("requests of all lengths, together: each gets what it would get alone") {
  for (const std::uint32_t pages : {4000u, 40u, 13u}) {  // with plenty, little, hardly any memory
    CAPTURE(pages);
    Harness harness({}, {.kv_pages = pages, .step_tokens = 48, .max_running = 16});
    std::vector<std::vector<Token>> prompts;
    for (std::size_t i = 0; i < 40; ++i) {
      prompts.push_back(prompt_of(1 + i * 37 % 200, i % 25));  // some begin alike
      harness.add(greedy(prompts.back(), 1 + static_cast<std::int64_t>(i * 13 % 90)));
    }
    harness.run();
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const Heard& heard = harness.calls.at(i + 1).only();
      CHECK(heard.ids() == harness.model->expected(prompts[i], 1 + i * 13 % 90));
      CHECK(heard.finish == FinishReason::length);
    }
    if (pages == 13) CHECK(harness.stepper->scheduler().preemptions() > 0);
    if (pages == 4000) CHECK(harness.stepper->scheduler().preemptions() == 0);
  }
}

TEST_CASE("a long prompt delays nobody by more than a step") {
  Harness harness({.context = 8192}, {.kv_pages = 4000, .step_tokens = 256, .max_running = 64});
  for (std::uint64_t i = 0; i < 8; ++i) harness.add(greedy(prompt_of(10, i), 60));
  harness.stepper->step();
  Call& longest = harness.add(greedy(prompt_of(4096, 99), 1));
  int steps = 0;
  while (longest.lasts == 0) {
    const auto made = harness.stepper->counts().completion_tokens;
    harness.stepper->step();
    CHECK(harness.rows.back() <= 256);
    CHECK(harness.stepper->counts().completion_tokens >= made + 8);  // all eight went on
    ++steps;
  }
  CHECK(steps == 17);  // 4096 / (256 - 8)
  harness.run();
}

TEST_CASE("prompts share a step: a short one is answered while a long one is computed") {
  Harness harness({.context = 8192}, {.kv_pages = 4000, .step_tokens = 64, .max_running = 64});
  Call& longest = harness.add(greedy(prompt_of(3000, 1), 1));
  Call& other = harness.add(greedy(prompt_of(3000, 2), 1));
  for (int i = 0; i < 5; ++i) harness.stepper->step();
  Call& brief = harness.add(greedy(prompt_of(60, 3), 1));
  for (int i = 0; i < 3; ++i) harness.stepper->step();
  CHECK(brief.lasts == 1);  // 21 rows of each step
  CHECK(longest.lasts + other.lasts == 0);
  harness.run();
}

TEST_CASE("where there are more prompts than rows they take turns, and none starves") {
  Harness harness({}, {.kv_pages = 4000, .step_tokens = 8, .max_running = 64});
  for (std::uint64_t i = 0; i < 8; ++i) harness.add(greedy(prompt_of(4, i), 200));
  for (int i = 0; i < 10; ++i) harness.stepper->step();
  for (std::uint64_t i = 0; i < 20; ++i) harness.add(greedy(prompt_of(5, 50 + i), 1));
  for (int i = 0; i < 101; ++i) harness.stepper->step();  // at least one row for prompts in each
  for (std::uint64_t i = 9; i <= 28; ++i) CHECK(harness.calls.at(i).lasts == 1);
  harness.run();
}

TEST_CASE("the same prompt from many at once is computed once") {
  Harness harness;
  const auto prompt = prompt_of(1000, 5);
  for (int i = 0; i < 50; ++i) harness.add(greedy(prompt, 3));
  harness.run();
  std::size_t rows = 0;
  for (const std::size_t n : harness.rows) rows += n;
  CHECK(rows <= 1000 + 50 * (8 + 2));  // the last 8 tokens are no whole page
  const auto expected = harness.model->expected(prompt, 3);
  for (const auto& [arrival, call] : harness.calls) {
    CHECK(call.only().ids() == expected);
    if (arrival > 1) CHECK(call.usage.cached_tokens == 992);
  }
}

TEST_CASE("a second identical prompt is found in the cache, all but its last token") {
  for (const std::size_t tokens : {1, 10, 32, 33, 64, 100, 1000}) {
    CAPTURE(tokens);
    Harness harness;
    const auto prompt = prompt_of(tokens, tokens);
    harness.add(greedy(prompt, 5));
    harness.run();
    Call& second = harness.add(greedy(prompt, 5));
    harness.run();
    CHECK(second.usage.cached_tokens == static_cast<std::int64_t>(tokens) - 1);
    CHECK(second.usage.prompt_tokens == static_cast<std::int64_t>(tokens));
    CHECK(second.only().ids() == harness.model->expected(prompt, 5));
    // The next turn of a conversation goes on from the answer.
    auto next = prompt;
    for (const Token token : harness.model->expected(prompt, 5)) next.push_back(token);
    const auto known = static_cast<std::int64_t>(next.size()) - 1;
    next.push_back(7);
    Call& third = harness.add(greedy(next, 5));
    harness.run();
    CHECK(third.usage.cached_tokens == known);
    CHECK(third.only().ids() == harness.model->expected(next, 5));
  }
}

TEST_CASE("prefixes are shared within a salt only") {
  Harness harness;
  auto request = greedy(prompt_of(100, 1), 2);
  request.cache_salt = "alice";
  harness.add(request);
  harness.run();
  request.cache_salt = "bob";
  Call& other = harness.add(request);
  harness.run();
  CHECK(other.usage.cached_tokens == 0);
  request.cache_salt = "alice";
  Call& same = harness.add(request);
  harness.run();
  CHECK(same.usage.cached_tokens == 99);
}

TEST_CASE("whoever stops is gone before the next step, and so are its pages") {
  Harness harness;
  for (std::uint64_t i = 0; i < 20; ++i) {
    auto request = greedy(prompt_of(40, i), 1000);
    request.n = i % 4 == 0 ? 4 : 1;
    harness.add(request);
  }
  for (int i = 0; i < 30; ++i) harness.stepper->step();
  CHECK(harness.sequences.back() == 35);
  const auto used = harness.stepper->cache().used();
  for (auto& [arrival, call] : harness.calls)
    if (arrival % 2 == 1) call.stop.request_stop();  // the ten that include all of n = 4
  harness.stepper->step();
  CHECK(harness.sequences.back() == 10);
  CHECK(harness.stepper->cache().used() < used / 2);
  for (const auto& [arrival, call] : harness.calls)
    for (const Heard& heard : call.choices)
      CHECK((heard.finish == FinishReason::cancelled) == (arrival % 2 == 1));
  for (auto& [arrival, call] : harness.calls) call.stop.request_stop();
  harness.run();
  CHECK(harness.stepper->counts().cancelled == 20);
}

TEST_CASE("a sequence that alone does not fit is refused with the numbers") {
  Harness harness({}, {.kv_pages = 3, .step_tokens = 64, .max_running = 4});
  const Call& large = harness.add(greedy(prompt_of(97, 1), 5));
  const Call& small = harness.add(greedy(prompt_of(50, 2), 5));
  harness.run();
  REQUIRE(large.error);
  CHECK(large.error->kind() == ErrorKind::exhausted);
  CHECK(large.error->message().find("needs 4 pages") != std::string::npos);
  CHECK(small.only().finish == FinishReason::length);
}

TEST_CASE("more sequences than may run wait, n of one request together") {
  Harness harness({}, {.kv_pages = 0, .step_tokens = 64, .max_running = 6});
  for (std::uint64_t i = 0; i < 5; ++i) {
    auto request = greedy(prompt_of(5, i), 8);
    request.n = 4;
    harness.add(request);
  }
  harness.run();
  CHECK(*std::ranges::max_element(harness.sequences) <= 6);
}
