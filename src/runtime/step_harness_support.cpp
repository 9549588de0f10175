#include <doctest/doctest.h>

#include <utility>

#include "runtime/random.h"
#include "runtime/step_harness.h"

namespace hearth {

std::vector<Token> Heard::ids() const {
  std::vector<Token> ids;
  for (const TokenInfo& token : tokens) ids.push_back(token.token);
  return ids;
}

Harness::Harness(FakeOptions options, StepperOptions limits) {
  auto inner = std::move(options.on_forward);
  options.on_forward = [this, inner](const Batch& batch) {
    rows.push_back(batch.tokens.size());
    sequences.push_back(batch.sequences.size());
    if (inner) inner(batch);
  };
  model = std::make_unique<FakeModel>(std::move(options));
  if (limits.kv_pages == 0) limits.kv_pages = 4000;
  if (limits.step_tokens == 0) limits.step_tokens = 256;
  if (limits.max_running == 0) limits.max_running = 256;
  stepper = std::make_unique<Stepper>(*model, ops::Context{}, limits);
}

Call& Harness::add(GenerateRequest request) {
  auto active = std::make_unique<ActiveRequest>();
  Call& call = calls.emplace(++arrivals, Call{}).first->second;
  call.choices.resize(static_cast<std::size_t>(request.n));
  request.stop_token = call.stop.get_token();
  active->arrival = arrivals;
  active->max_tokens = request.max_tokens;
  active->deterministic = request.deterministic;
  active->tier = request.tier.value_or(ops::Tier::accurate);
  active->asked = std::move(request);
  active->on_event = [&call](const Event& event) {
    CHECK(call.lasts == 0);
    Heard& heard = call.choices.at(static_cast<std::size_t>(event.choice));
    CHECK(!heard.finish);
    heard.text += event.text;
    auto& list = event.is_prompt ? heard.prompt : heard.tokens;
    list.insert(list.end(), event.tokens.begin(), event.tokens.end());
    heard.finish = event.finish;
    heard.stop_string = event.stop_string;
    ++heard.events;
    if (!event.last) return;
    ++call.lasts;
    call.usage = event.usage;
    call.error = event.error;
  };
  stepper->add(std::move(active));
  return call;
}

void Harness::run() {
  for (int i = 0; stepper->has_work(); ++i) {
    REQUIRE(i < 100000);
    stepper->step();
    check_accounts();
  }
  CHECK(stepper->cache().used() == 0);
  for (const auto& [arrival, call] : calls) {
    CHECK(call.lasts == 1);
    for (const Heard& heard : call.choices) CHECK(heard.finish);
  }
  const StepperCounts& counts = stepper->counts();
  CHECK(counts.done + counts.cancelled + counts.failed == calls.size());
}

void Harness::check_accounts() const {
  const KvCache& cache = stepper->cache();
  REQUIRE(cache.used() + cache.idle() <= cache.total());
}

std::vector<Token> prompt_of(std::size_t tokens, std::uint64_t seed, Token vocabulary) {
  std::vector<Token> prompt(tokens);
  for (std::size_t i = 0; i < tokens; ++i)
    prompt[i] =
        2 + static_cast<Token>(uniform({.seed = seed, .stream = 9, .index = i}) * (vocabulary - 2));
  return prompt;
}

}  // namespace hearth
