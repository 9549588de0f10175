// Guessed tokens: computed together, kept where they are right, and never seen in what comes out.
#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/step_harness.h"

using namespace hearth;

namespace {

// A text that often goes on as it did before: the last two tokens decide nearly alone.
FakeOptions repeating() {
  FakeOptions options;
  options.logits = [](std::span<const Token> history, std::span<float> logits) {
    const std::size_t n = history.size();
    const auto last = static_cast<std::size_t>(history[n - 1]);
    const auto before = static_cast<std::size_t>(n > 1 ? history[n - 2] : 5);
    for (std::size_t i = 0; i < logits.size(); ++i)
      logits[i] = -static_cast<float>((i * 7 + last * 5 + before * 3) % 41);
    logits[2 + (last * 7 + before + n / 50) % 9] = 3;
  };
  return options;
}

std::vector<std::vector<Token>> answers(std::uint32_t guessing_rows, float temperature,
                                        StepperCounts* counts, std::uint32_t pages) {
  Harness harness(
      repeating(),
      {.kv_pages = pages, .step_tokens = 48, .max_running = 16, .guessing_rows = guessing_rows});
  for (std::size_t i = 0; i < 12; ++i) {
    GenerateRequest request = greedy(prompt_of(1 + i * 37 % 120, i), 1 + (i * 53) % 150);
    request.sampling.temperature = temperature;
    request.sampling.seed = 7 + i;
    request.n = i == 4 && temperature > 0 ? 3 : 1;
    harness.add(std::move(request));
  }
  harness.run();
  *counts = harness.stepper->counts();
  std::vector<std::vector<Token>> all;
  for (const auto& [arrival, call] : harness.calls)
    for (const Heard& heard : call.choices) all.push_back(heard.ids());
  return all;
}

}  // namespace

TEST_CASE("guesses change no token, greedy or sampled, with much memory or hardly any") {
  for (const float temperature : {0.0f, 0.7f})
    for (const std::uint32_t pages : {4000u, 40u, 13u}) {
      CAPTURE(temperature);
      CAPTURE(pages);
      StepperCounts plain, guessed;
      const auto wanted = answers(0, temperature, &plain, pages);
      for (const std::uint32_t rows : {4u, 8u, 64u}) {
        CAPTURE(rows);
        CHECK(answers(rows, temperature, &guessed, pages) == wanted);
        CHECK(guessed.completion_tokens == plain.completion_tokens);
        CHECK(guessed.guessed_right > 0);
        CHECK(guessed.guessed >= guessed.guessed_right);
      }
      CHECK(plain.guessed == 0);
    }
}

TEST_CASE("a text that repeats itself takes far fewer steps, one that does not no more") {
  for (const bool repeats : {true, false}) {
    Harness harness(repeats ? repeating() : FakeOptions{}, {.guessing_rows = 8});
    const auto prompt = prompt_of(20, 1);
    Call& call = harness.add(greedy(prompt, 300));
    harness.run();
    CHECK(call.only().ids() == harness.model->expected(prompt, 300));
    const auto& counts = harness.stepper->counts();
    if (repeats) CHECK(counts.steps < 200);
    if (!repeats) CHECK(counts.steps <= 300);
  }
}

TEST_CASE("a request may ask for no guesses, and one held to a rule makes none") {
  Harness harness(repeating(), {.guessing_rows = 8});
  GenerateRequest request = greedy(prompt_of(20, 1), 100);
  request.speculate = false;
  harness.add(std::move(request));
  harness.run();
  CHECK(harness.stepper->counts().guessed == 0);
  CHECK(harness.stepper->counts().steps == 100);
}

TEST_CASE("a stop string within a guess ends the answer there") {
  Harness harness(repeating(), {.guessing_rows = 8});
  const auto prompt = prompt_of(20, 1);
  const auto expected = harness.model->expected(prompt, 200);
  GenerateRequest request = greedy(prompt, 200);
  request.stop_tokens = {expected[150]};
  const auto first = std::ranges::find(expected, expected[150]);
  Call& call = harness.add(std::move(request));
  harness.run();
  CHECK(call.only().ids() == std::vector<Token>(expected.begin(), first));
  CHECK(call.only().finish == FinishReason::stop);
}
