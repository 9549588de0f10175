// Models with recurrent layers: states are copied, remembered and given up, and answers stay what
// they are alone.
#include <doctest/doctest.h>

#include "runtime/sequence_pages.h"
#include "runtime/step_harness.h"

using namespace hearth;

namespace {

StepperOptions limits(std::uint32_t pages, std::uint32_t states) {
  return {.kv_pages = pages, .states = states, .guessing_rows = 8};
}

void check_answers(Harness& harness, std::span<const GenerateRequest> requests) {
  std::vector<Call*> calls;
  for (const GenerateRequest& request : requests) calls.push_back(&harness.add(request));
  harness.run();
  CHECK(harness.stepper->cache().states().in_use() == 0);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    CAPTURE(i);
    const auto expected = harness.model->expected(requests[i].prompt,
                                                  static_cast<std::size_t>(requests[i].max_tokens));
    for (const Heard& heard : calls[i]->choices) CHECK(heard.ids() == expected);
  }
}

// Prompts of several lengths that begin alike, some asked several times.
std::vector<GenerateRequest> alike(std::size_t most) {
  const auto text = prompt_of(most, 3);
  std::vector<GenerateRequest> requests;
  for (const std::size_t length : {most, most / 2, most, most / 3 + 7, most - 1}) {
    requests.push_back(
        greedy({text.begin(), text.begin() + static_cast<std::ptrdiff_t>(length)}, 70));
    requests.back().n = length == most / 2 ? 3 : 1;
  }
  return requests;
}

}  // namespace

TEST_CASE(
    "answers of models with states are those they give alone, however little memory there is") {
  for (const std::size_t most : {50u, 200u, 700u})
    for (const std::uint32_t states : {1u, 2u, 4u, 100u})
      for (const std::uint32_t pages : {30u, 300u}) {
        CAPTURE(most);
        CAPTURE(states);
        CAPTURE(pages);
        Harness harness({.recurs = true}, limits(pages, states));
        check_answers(harness, alike(most));
        check_answers(harness, alike(most));
      }
}

TEST_CASE("a conversation goes on from the copy of its state") {
  Harness harness({.recurs = true}, limits(300, 8));
  auto text = prompt_of(300, 5);
  const Call& first = harness.add(greedy(text, 100));
  harness.run();
  const auto answer = first.only().ids();
  text.insert(text.end(), answer.begin(), answer.end());
  const auto more = prompt_of(20, 6);
  text.insert(text.end(), more.begin(), more.end());
  const GenerateRequest next[] = {greedy(text, 40)};
  check_answers(harness, next);
  // 300 + 100 tokens, of which the last was never read: the page before it is whole.
  CHECK(harness.calls.rbegin()->second.usage.cached_tokens == 384);
  // The same again: up to the last whole page of the prompt.
  check_answers(harness, next);
  CHECK(harness.calls.rbegin()->second.usage.cached_tokens == 416);
}

TEST_CASE("a copy goes with its page, and gives way to states that are needed") {
  KvCache cache(32 * sizeof(Token), 8, 16, 3);
  const PrefixNode root = cache.root("", false);
  const auto tokens = prompt_of(4 * 32, 1);
  SequencePages first(cache, root);
  REQUIRE(first.reserve(tokens.size()) == tokens.size());
  first.advance(tokens, tokens.size());
  CHECK(cache.states().remembered() == 1);
  auto longer = tokens;
  longer.push_back(1);
  SequencePages second(cache, root);
  CHECK(second.adopt(longer) == tokens.size());
  SequencePages third(cache, root);
  CHECK(third.reserve(1) == 1);  // the copy gave way
  CHECK(cache.states().remembered() == 0);
  SequencePages fourth(cache, root);
  CHECK(fourth.reserve(1) == 0);
  third.give_back(tokens);
  CHECK(fourth.adopt(longer) == 0);
}

TEST_CASE("a state takes guesses back, or none are made where there is no memory for it") {
  for (const std::uint32_t states : {1u, 2u, 3u, 8u}) {
    CAPTURE(states);
    KvCache cache(32 * sizeof(Token), 8, 16, states);
    const auto tokens = prompt_of(40, 1);
    SequencePages pages(cache, cache.root("", false));
    REQUIRE(pages.reserve(20) == 20);
    pages.advance(tokens, 20);
    std::byte* const state = pages.state();
    REQUIRE(pages.reserve(26) == 26);
    CHECK(pages.begin_guesses() == (states > 1));
    CHECK((pages.certain_state() != nullptr) == (states > 1));
    if (states == 1) continue;
    std::byte* const certain = pages.certain_state();
    pages.advance(tokens, 2);
    pages.right_guess(tokens);
    pages.right_guess(tokens);
    pages.end_guesses(tokens, 4);
    CHECK(pages.computed() == 22);
    CHECK(pages.taken_back() == 2);
    CHECK(pages.state() == certain);
    CHECK(pages.certain_state() == nullptr);
    CHECK(cache.states().in_use() == 1);

    CHECK(pages.begin_guesses());
    CHECK(pages.certain_state() == state);
    pages.advance(tokens, 3);
    CHECK(pages.taken_back() == 0);
    pages.right_guess(tokens);
    pages.end_guesses(tokens, 1);
    CHECK(pages.computed() == 26);
    CHECK(pages.state() == certain);
    pages.give_back(tokens);
    CHECK(cache.states().in_use() == 0);
  }
}
