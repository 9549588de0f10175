// Guessed tokens: computed together, kept where they are right, and never seen in what comes out.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

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

// Of twelve requests, some of them sampled.
std::vector<std::vector<Token>> answers_of(Harness& harness, float temperature,
                                           StepperCounts* counts) {
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

struct Given {
  std::uint32_t guessing_rows = 0, pages = 4000;
  float temperature = 0;
  std::uint32_t states = 0;  // more than 0: of a model that recurs
};

std::vector<std::vector<Token>> answers(const Given& given, StepperCounts* counts) {
  FakeOptions fake = repeating();
  fake.recurs = given.states > 0;
  Harness harness(fake, {.kv_pages = given.pages,
                         .states = given.states,
                         .step_tokens = 48,
                         .max_running = 16,
                         .guessing_rows = given.guessing_rows});
  auto all = answers_of(harness, given.temperature, counts);
  if (given.states > 0) CHECK(harness.stepper->cache().states().in_use() == 0);
  return all;
}

}  // namespace

TEST_CASE("guesses change no token, greedy or sampled, with much memory or hardly any") {
  for (const float temperature : {0.0f, 0.7f})
    for (const std::uint32_t pages : {4000u, 40u, 13u}) {
      CAPTURE(temperature);
      CAPTURE(pages);
      StepperCounts plain, guessed;
      const auto wanted = answers({0, pages, temperature}, &plain);
      for (const std::uint32_t rows : {4u, 8u, 64u}) {
        CAPTURE(rows);
        CHECK(answers({rows, pages, temperature}, &guessed) == wanted);
        CHECK(guessed.completion_tokens == plain.completion_tokens);
        CHECK(guessed.guessed_right > 0);
        CHECK(guessed.guessed >= guessed.guessed_right);
      }
      CHECK(plain.guessed == 0);
    }
}

TEST_CASE("nor do guesses that states have to take back, with much memory or hardly any") {
  for (const float temperature : {0.0f, 0.7f})
    for (const std::uint32_t pages : {4000u, 40u, 13u})
      for (const std::uint32_t states : {100u, 17u, 5u, 2u}) {
        CAPTURE(temperature);
        CAPTURE(pages);
        CAPTURE(states);
        StepperCounts plain, guessed;
        const auto wanted = answers({0, pages, temperature, states}, &plain);
        for (const std::uint32_t rows : {4u, 16u, 64u}) {
          CAPTURE(rows);
          CHECK(answers({rows, pages, temperature, states}, &guessed) == wanted);
          CHECK(guessed.guessed_right > 0);
          CHECK(guessed.steps <= plain.steps);
          if (rows > 4) CHECK(guessed.guessed > guessed.guessed_right);
        }
      }
}

TEST_CASE("a text that repeats itself takes far fewer steps, one that does not no more") {
  for (const bool repeats : {true, false})
    for (const bool recurs : {false, true}) {
      CAPTURE(recurs);
      FakeOptions fake = repeats ? repeating() : FakeOptions{};
      fake.recurs = recurs;
      Harness harness(fake, {.states = recurs ? 8u : 0u, .guessing_rows = 8});
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

namespace {

// Answers of twelve requests, some sampled, with a draft model that is right so often.
std::vector<std::vector<Token>> drafted_answers(double right, StepperCounts* counts,
                                                const Given& given = {}) {
  const FakeModel oracle;
  FakeOptions small;
  small.logits = [&oracle, right](std::span<const Token> history, std::span<float> logits) {
    std::ranges::fill(logits, 0.0f);
    std::uint64_t hash = history.size();
    for (const Token token : history) hash = hash * 31 + static_cast<std::uint64_t>(token) + 7;
    const bool is_right = static_cast<double>(hash % 1000) < right * 1000;
    const Token next = oracle.expected({history.begin(), history.end()}, 1).front();
    logits[static_cast<std::size_t>(is_right ? next : (next + 1) % 48)] = 6;
  };
  StepperOptions options{
      .kv_pages = given.pages, .step_tokens = 48, .max_running = 16, .guessing_rows = 32};
  if (right >= 0) options.draft_model = std::make_shared<FakeModel>(small);
  Harness harness({}, options);
  return answers_of(harness, given.temperature, counts);
}

using Answers = std::vector<std::vector<Token>>(double right, StepperCounts* counts,
                                                const Given& given);

// Right guesses save steps; wrong ones are hardly asked for.
void check_saves_steps(Answers& answers) {
  StepperCounts plain, wrong, half, right;
  answers(-1, &plain, {});
  answers(0, &wrong, {});
  answers(0.5, &half, {});
  answers(1, &right, {});
  CHECK(wrong.steps <= plain.steps);
  CHECK(half.steps < plain.steps);
  CHECK(right.steps * 2 < plain.steps);
  CHECK(right.guessed_right > right.guessed * 9 / 10);
  CHECK(wrong.guessed < right.guessed / 2);
}

// However often guesses are right, with much memory or hardly any, of pages and of states.
void check_changes_no_token(Answers& answers, std::span<const std::uint32_t> states) {
  for (const float temperature : {0.0f, 0.7f})
    for (const std::uint32_t pages : {4000u, 40u, 13u})
      for (const std::uint32_t count : states) {
        CAPTURE(temperature);
        CAPTURE(pages);
        CAPTURE(count);
        const Given given{.pages = pages, .temperature = temperature, .states = count};
        StepperCounts plain, guessed;
        const auto wanted = answers(-1, &plain, given);
        for (const double right : {0.0, 0.5, 1.0}) {
          CAPTURE(right);
          CHECK(answers(right, &guessed, given) == wanted);
          CHECK(guessed.completion_tokens == plain.completion_tokens);
          CHECK(guessed.guessed > 0);
        }
      }
}

}  // namespace

TEST_CASE("a draft model's guesses change no token, with much memory or hardly any") {
  check_changes_no_token(drafted_answers, std::array{0u});
}

TEST_CASE("a draft model's keys and values are counted as they are made") {
  StepperOptions options{.kv_pages = 40, .step_tokens = 48, .max_running = 16, .guessing_rows = 32};
  options.draft_model = std::make_shared<FakeModel>();
  Harness harness({}, options);
  const DraftModel& small = *harness.stepper->draft_model();
  const std::uint64_t page = options.draft_model->kv_layout().page_bytes;
  CHECK(small.kv_bytes() == 0);
  CHECK(small.kv_bytes_total() == 40 * page);
  StepperCounts counts;
  answers_of(harness, 0, &counts);
  CHECK(small.kv_bytes() > 0);
  CHECK(small.kv_bytes() % page == 0);
  CHECK(small.kv_bytes() <= small.kv_bytes_total());
}

TEST_CASE("a draft model that is right saves steps, one that is wrong is hardly asked") {
  check_saves_steps(drafted_answers);
}

TEST_CASE("models of other tokens, or with a state, guess for nobody") {
  const FakeModel large;
  CHECK(check_draft_model(large, FakeModel()).ok());
  CHECK_FALSE(check_draft_model(large, FakeModel({.recurs = true})).ok());
  const auto other = check_draft_model(large, FakeModel({.pieces = {"x", "y", "z"}}));
  REQUIRE_FALSE(other.ok());
  CHECK(other.error().kind() == ErrorKind::unsupported);
}

TEST_CASE("what a request predicts is guessed first, and changes no token") {
  for (const std::size_t wrong_every : {0u, 11u}) {
    CAPTURE(wrong_every);
    Harness harness({}, {.guessing_rows = 16});
    GenerateRequest request = greedy(prompt_of(20, 1), 120);
    const auto wanted = harness.model->expected(request.prompt, 120);
    request.predicted = wanted;
    for (std::size_t i = 1; wrong_every > 0 && i < wanted.size(); i += wrong_every)
      request.predicted[i] = (wanted[i] + 1) % 48;
    Call& call = harness.add(std::move(request));
    harness.run();
    CHECK(call.only().ids() == wanted);
    CHECK(harness.stepper->counts().steps < (wrong_every == 0 ? 25u : 60u));
    CHECK(call.usage.guessed_right > 60);
    CHECK(call.usage.guessed_tokens >= call.usage.guessed_right);
  }
}

namespace {

// Answers of twelve requests, some sampled, of a model that guesses further tokens so rightly; less
// than 0: it does not.
std::vector<std::vector<Token>> mtp_answers(double right, StepperCounts* counts,
                                            const Given& given = {}) {
  FakeOptions fake;
  if (right >= 0) fake.mtp_right = right;
  fake.recurs = given.states > 0;
  Harness harness(fake, {.kv_pages = given.pages,
                         .states = given.states,
                         .step_tokens = 48,
                         .max_running = 16,
                         .guessing_rows = 32});
  return answers_of(harness, given.temperature, counts);
}

}  // namespace

TEST_CASE("a model's own guesses change no token, with much memory or hardly any") {
  check_changes_no_token(mtp_answers, std::array{0u, 100u, 5u});
}

TEST_CASE("a model that guesses rightly saves steps, one that does not is hardly asked") {
  check_saves_steps(mtp_answers);
}

TEST_CASE(
    "a model's own guesses go on behind a prefix from the cache, and a draft model's go first") {
  Harness harness({.mtp_right = 1.0}, {.guessing_rows = 16});
  const auto prompt = prompt_of(100, 1);
  for (int time = 0; time < 2; ++time) {
    Call& call = harness.add(greedy(prompt, 60));
    harness.run();
    CHECK(call.only().ids() == harness.model->expected(prompt, 60));
    CHECK((call.usage.cached_tokens > 0) == (time == 1));
    CHECK(call.usage.guessed_right > 30);
  }
  StepperOptions options{.guessing_rows = 16};
  options.draft_model = std::make_shared<FakeModel>();
  Harness drafted({.mtp_right = 0.0}, options);
  Call& call = drafted.add(greedy(prompt, 60));
  drafted.run();
  CHECK(call.only().ids() == drafted.model->expected(prompt, 60));
  CHECK(call.usage.guessed_right > 30);
}
