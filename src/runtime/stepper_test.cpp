// One thread, step by step: what runs in each step and what comes out.
#include "runtime/stepper.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "runtime/fake_model.h"
#include "runtime/random.h"

using namespace hearth;

namespace {

struct Heard {
  std::string text;
  std::vector<TokenInfo> tokens, prompt;
  std::optional<FinishReason> finish;
  std::string stop_string;
  std::size_t events = 0;
  std::vector<Token> ids() const {
    std::vector<Token> ids;
    for (const TokenInfo& token : tokens) ids.push_back(token.token);
    return ids;
  }
};

struct Call {
  std::vector<Heard> choices;
  std::stop_source stop;
  int lasts = 0;
  Usage usage;
  std::optional<Error> error;
  const Heard& only() const { return choices.front(); }
};

struct Harness {
  explicit Harness(FakeOptions options = {}, StepperOptions limits = {}) {
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

  Call& add(GenerateRequest request) {
    auto active = std::make_unique<ActiveRequest>();
    Call& call = calls.emplace(++arrivals, Call{}).first->second;
    call.choices.resize(static_cast<std::size_t>(request.n));
    request.stop_token = call.stop.get_token();
    active->arrival = arrivals;
    active->max_tokens = request.max_tokens;
    active->deterministic = request.deterministic;
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

  void run() {
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
  void check_accounts() const {
    const KvCache& cache = stepper->cache();
    REQUIRE(cache.used() + cache.idle() <= cache.total());
  }

  std::unique_ptr<FakeModel> model;
  std::unique_ptr<Stepper> stepper;
  std::map<std::uint64_t, Call> calls;
  std::uint64_t arrivals = 0;
  std::vector<std::size_t> rows, sequences;  // of each forward
};

std::vector<Token> prompt_of(std::size_t tokens, std::uint64_t seed, Token vocabulary = 48) {
  std::vector<Token> prompt(tokens);
  for (std::size_t i = 0; i < tokens; ++i)
    prompt[i] =
        2 + static_cast<Token>(uniform({.seed = seed, .stream = 9, .index = i}) * (vocabulary - 2));
  return prompt;
}

GenerateRequest greedy(std::vector<Token> prompt, std::int64_t tokens) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = tokens;
  request.sampling.temperature = 0;
  return request;
}

}  // namespace

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
