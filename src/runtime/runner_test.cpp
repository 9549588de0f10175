// The runner among threads: many callers, cancellation, limits, embedding, the end.
#include "runtime/runner.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <semaphore>
#include <thread>

#include "kernels/kernels.h"
#include "runtime/fake_model.h"
#include "runtime/memory_budget.h"
#include "runtime/random.h"
#include "runtime/request_testing.h"

using namespace hearth;
using hearth::testing::greedy;

namespace {

std::vector<Token> prompt_of(std::size_t tokens, std::uint64_t seed) {
  std::vector<Token> prompt(tokens);
  for (std::size_t i = 0; i < tokens; ++i)
    prompt[i] = 2 + static_cast<Token>(46 * uniform({.seed = seed, .stream = 9, .index = i}));
  return prompt;
}

// One stream as a client sees it.  Thread-safe.
class Stream {
 public:
  OnEvent on_event() {
    return [this](const Event& event) {
      const std::lock_guard lock(mutex_);
      for (const TokenInfo& token : event.tokens) tokens_.push_back(token.token);
      if (event.finish) finish_ = *event.finish, ++finishes_;
      if (event.last) ++lasts_;
      changed_.notify_all();
    };
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return lasts_ > 0; });
  }
  void wait_for(std::size_t tokens) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return tokens_.size() >= tokens || lasts_ > 0; });
  }
  std::vector<Token> tokens_;
  FinishReason finish_ = FinishReason::error;
  int finishes_ = 0, lasts_ = 0;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

struct Runtime {
  explicit Runtime(FakeOptions fake = {}, RunnerOptions options = {}, int threads = 2) {
    model = std::make_shared<FakeModel>(std::move(fake));
    if (options.kv_budget_bytes == 0) options.kv_budget_bytes = 16u << 20;
    auto made =
        make_runner(model, kernels::Kernels{}, std::make_shared<ThreadPool>(threads), options);
    REQUIRE(made.ok());
    runner = std::move(*made);
  }
  // The scheduler publishes its accounts after the last event.
  RunnerStats settled() const {
    for (;;) {
      const RunnerStats stats = runner->stats();
      if (stats.running == 0 && stats.queued == 0) return stats;
      std::this_thread::yield();
    }
  }
  std::shared_ptr<FakeModel> model;
  std::unique_ptr<Runner> runner;
};

}  // namespace

TEST_CASE("200 clients at once, half of them leaving: every stream ends once, nothing leaks") {
  for (const std::uint64_t pages : {2000u, 150u}) {  // the second preempts
    CAPTURE(pages);
    Runtime runtime({}, {.context_tokens = 1024, .kv_budget_bytes = pages * 256});
    std::vector<Stream> streams(200);
    std::vector<std::stop_source> stops(200);
    std::vector<std::jthread> clients;
    for (std::size_t group = 0; group < 4; ++group)
      clients.emplace_back([&, group] {
        for (std::size_t i = group; i < 200; i += 4) {
          auto request = greedy(prompt_of(1 + i * 7 % 90, i % 50), 30);
          request.stop_token = stops[i].get_token();
          CHECK(runtime.runner->submit(std::move(request), streams[i].on_event()).ok());
        }
        for (std::size_t i = group; i < 200; i += 4)
          if (i % 2 == 0) {
            streams[i].wait_for(i % 20);
            stops[i].request_stop();
          }
      });
    clients.clear();
    std::size_t cancelled = 0;
    for (std::size_t i = 0; i < 200; ++i) {
      streams[i].wait();
      CHECK(streams[i].lasts_ == 1);
      CHECK(streams[i].finishes_ == 1);
      const auto expected = runtime.model->expected(prompt_of(1 + i * 7 % 90, i % 50), 30);
      if (streams[i].finish_ == FinishReason::length) {
        CHECK(streams[i].tokens_ == expected);
      } else {
        CHECK(streams[i].finish_ == FinishReason::cancelled);
        CHECK(i % 2 == 0);
        REQUIRE(streams[i].tokens_.size() <= expected.size());
        CHECK(std::ranges::equal(streams[i].tokens_,
                                 std::span(expected).first(streams[i].tokens_.size())));
        ++cancelled;
      }
    }
    const RunnerStats stats = runtime.settled();
    CHECK(stats.requests_cancelled == cancelled);
    CHECK(stats.requests_done == 200 - cancelled);
    CHECK(stats.requests_failed == 0);
    CHECK(stats.kv_pages_used == 0);
  }
}

TEST_CASE("the same answers on one thread and on four") {
  std::vector<std::vector<Token>> first;
  for (const int threads : {1, 4}) {
    Runtime runtime({.is_noisy = true}, {.deterministic = true}, threads);
    std::vector<Stream> streams(20);
    for (std::size_t i = 0; i < streams.size(); ++i) {
      auto request = greedy(prompt_of(40, i), 30);
      request.sampling = {.temperature = 1.1f, .top_k = 20, .dry_multiplier = 0.5f, .seed = i};
      CHECK(runtime.runner->submit(std::move(request), streams[i].on_event()).ok());
    }
    for (std::size_t i = 0; i < streams.size(); ++i) {
      streams[i].wait();
      if (threads == 1) first.push_back(streams[i].tokens_);
      CHECK(streams[i].tokens_ == first[i]);
    }
  }
}

TEST_CASE("a prompt at, below and above the context; an answer ends where the context does") {
  Runtime runtime({}, {.context_tokens = 64});
  CHECK(runtime.runner->context_tokens() == 64);
  const struct {
    std::size_t prompt;
    std::int64_t max_tokens, made;  // -1: refused
  } rows[] = {{62, 1, 1},  {63, 1, 1},  {64, 1, -1},  {65, 1, -1}, {64, 0, 0},
              {65, 0, -1}, {60, -1, 4}, {60, 100, 4}, {63, -1, 1}, {64, -1, -1}};
  for (const auto& row : rows) {
    CAPTURE(row.prompt);
    CAPTURE(row.max_tokens);
    const auto request = greedy(prompt_of(row.prompt, 1), row.max_tokens);
    const auto overflow = find_overflow(*runtime.runner, request);
    const auto answer = generate(*runtime.runner, request);
    if (row.made < 0) {
      REQUIRE(!answer.ok());
      CHECK(answer.error().kind() == ErrorKind::too_long);
      REQUIRE(overflow);
      CHECK(overflow->prompt_tokens == static_cast<std::int64_t>(row.prompt));
      CHECK(overflow->context_tokens == 64);
      CHECK(answer.error().message() == overflow_message(*overflow));
    } else {
      CHECK(!overflow);
      REQUIRE(answer.ok());
      CHECK(answer->usage.completion_tokens == row.made);
      CHECK(answer->finish == FinishReason::length);
    }
  }
}

TEST_CASE("requests that make no sense are refused, and say why") {
  Runtime runtime;
  const struct {
    std::string says;
    std::function<void(GenerateRequest&)> change;
  } rows[] = {
      {"prompt: holds no token", [](auto& r) { r.prompt.clear(); }},
      {"prompt: token -1", [](auto& r) { r.prompt = {-1}; }},
      {"prompt: token 48", [](auto& r) { r.prompt = {48}; }},
      {"n = 0", [](auto& r) { r.n = 0; }},
      {"n = 129", [](auto& r) { r.n = max_choices + 1; }},
      {"max_tokens = -2", [](auto& r) { r.max_tokens = -2; }},
      {"top_logprobs = 21", [](auto& r) { r.top_logprobs = 21; }},
      {"top_logprobs = -1", [](auto& r) { r.top_logprobs = -1; }},
      {"stop: 17 strings", [](auto& r) { r.stop.assign(17, "x"); }},
      {"stop: a string of 0", [](auto& r) { r.stop = {""}; }},
      {"stop: a string of 257", [](auto& r) { r.stop = {std::string(257, 'x')}; }},
      {"stop_tokens: token 48", [](auto& r) { r.stop_tokens = {48}; }},
      {"temperature", [](auto& r) { r.sampling.temperature = 3; }},
      {"logit_bias", [](auto& r) { r.sampling.logit_bias = {{48, 1}}; }},
  };
  for (const auto& row : rows) {
    CAPTURE(row.says);
    auto request = greedy({5}, 1);
    row.change(request);
    const Status status = runtime.runner->submit(request, [](const Event&) {});
    REQUIRE(!status.ok());
    CHECK(status.error().kind() == ErrorKind::invalid);
    CHECK(status.error().message().find(row.says) == 0);
  }
}

TEST_CASE("a full queue refuses, draining refuses, what runs goes on") {
  std::counting_semaphore<1000000> steps(0);
  FakeOptions fake;
  fake.on_forward = [&](const Batch&) { steps.acquire(); };
  Runtime runtime(fake, {.max_queued = 3, .max_running = 1});
  std::vector<Stream> streams(6);
  std::size_t accepted = 0;
  for (Stream& stream : streams) {
    const Status status = runtime.runner->submit(greedy({7}, 2), stream.on_event());
    if (status.ok()) ++accepted;
    if (!status.ok()) CHECK(status.error().kind() == ErrorKind::exhausted);
  }
  CHECK(accepted >= 3);  // one may run by now, three wait
  CHECK(accepted <= 4);
  runtime.runner->drain();
  const Status late = runtime.runner->submit(greedy({7}, 2), [](const Event&) {});
  REQUIRE(!late.ok());
  CHECK(late.error().kind() == ErrorKind::unavailable);
  steps.release(100);
  for (std::size_t i = 0; i < accepted; ++i) {
    streams[i].wait();
    CHECK(streams[i].finish_ == FinishReason::length);
  }
}

TEST_CASE("limits change while requests run: none is lost, and the answers stay the same") {
  Runtime runtime({}, {.max_queued = 1000, .max_running = 8});
  const std::vector<Token> prompt = prompt_of(90, 5);
  Stream alone;
  REQUIRE(runtime.runner->submit(greedy(prompt, 12), alone.on_event()).ok());
  alone.wait();
  std::vector<Stream> streams(40);
  std::uint32_t rows = 1;
  for (Stream& stream : streams) {
    runtime.runner->limit({.step_tokens = rows, .max_queued = 1000, .max_running = 1 + rows % 5});
    rows = rows * 7 % 300 + 1;
    REQUIRE(runtime.runner->submit(greedy(prompt, 12), stream.on_event()).ok());
  }
  for (Stream& stream : streams) {
    stream.wait();
    CHECK(stream.tokens_ == alone.tokens_);
  }
  // Nonsense counts as one.
  runtime.runner->limit({.step_tokens = 0, .max_queued = 0, .max_running = 0});
  Stream last;
  REQUIRE(runtime.runner->submit(greedy(prompt, 12), last.on_event()).ok());
  last.wait();
  CHECK(last.tokens_ == alone.tokens_);
}

TEST_CASE("a step stops early when everybody in it has left, and only then") {
  std::binary_semaphore entered(0), go_on(0);
  std::atomic<bool> is_gated = true;
  FakeOptions fake;
  fake.on_forward = [&](const Batch&) {
    if (!is_gated) return;
    entered.release();
    go_on.acquire();
  };
  Runtime runtime(fake);
  Stream first, second;
  std::stop_source stop;
  auto request = greedy({7}, 5);
  request.stop_token = stop.get_token();
  SUBCASE("alone") {
    CHECK(runtime.runner->submit(request, first.on_event()).ok());
    entered.acquire();
    stop.request_stop();
    is_gated = false;
    go_on.release();
    first.wait();
    CHECK(first.tokens_.empty());
  }
  SUBCASE("with another") {
    CHECK(runtime.runner->submit(greedy({8}, 5), second.on_event()).ok());
    entered.acquire();  // the first step: the second request alone
    CHECK(runtime.runner->submit(request, first.on_event()).ok());
    go_on.release();
    entered.acquire();  // both
    stop.request_stop();
    is_gated = false;
    go_on.release();
    first.wait();
    second.wait();
    CHECK(first.tokens_.size() == 1);  // the step it was in was another's too
    CHECK(second.tokens_ == runtime.model->expected({8}, 5));
  }
  CHECK(first.finish_ == FinishReason::cancelled);
}

TEST_CASE("a callback may ask to stop") {
  Runtime runtime;
  std::stop_source stop;
  auto request = greedy({7}, 1000);
  request.stop_token = stop.get_token();
  std::atomic<int> tokens = 0;
  Stream stream;
  CHECK(runtime.runner
            ->submit(request,
                     [&, inner = stream.on_event()](const Event& event) {
                       if (++tokens == 5) stop.request_stop();
                       inner(event);
                     })
            .ok());
  stream.wait();
  CHECK(stream.tokens_.size() == 5);
  CHECK(stream.finish_ == FinishReason::cancelled);
}

TEST_CASE("the destructor cancels what runs and what waits") {
  std::vector<Stream> streams(10);
  {
    Runtime runtime({}, {.max_running = 2});
    for (Stream& stream : streams)
      CHECK(runtime.runner->submit(greedy({7}, 4000), stream.on_event()).ok());
    streams[0].wait_for(3);
  }
  for (Stream& stream : streams) {
    CHECK(stream.lasts_ == 1);
    CHECK(stream.finish_ == FinishReason::cancelled);
  }
}

TEST_CASE("embedding goes on between the steps of streams, in order of the texts") {
  Runtime runtime({}, {.step_tokens = 16});
  Stream stream;
  CHECK(runtime.runner->submit(greedy({7}, 200), stream.on_event()).ok());
  std::vector<std::jthread> callers;
  for (std::size_t caller = 0; caller < 4; ++caller)
    callers.emplace_back([&, caller] {
      std::vector<std::vector<Token>> texts;
      for (std::size_t i = 0; i < 30; ++i) texts.push_back(prompt_of(1 + i % 20, caller + i));
      const auto vectors = runtime.runner->embed(texts);
      REQUIRE(vectors.ok());
      REQUIRE(vectors->size() == 30);
      ops::Context context;
      for (std::size_t i = 0; i < 30; ++i)
        CHECK((*vectors)[i] ==
              runtime.model->embed(context, std::span(texts).subspan(i, 1), {})->front());
    });
  callers.clear();
  stream.wait();
  CHECK(stream.tokens_ == runtime.model->expected({7}, 200));

  CHECK(runtime.runner->embed({})->empty());
  const std::vector<std::vector<Token>> bad{{5}, {99}};
  CHECK(runtime.runner->embed(bad).error().message().find("text 1: token 99") == 0);
  const std::vector<std::vector<Token>> large{{5}, prompt_of(4097, 1)};
  CHECK(runtime.runner->embed(large).error().kind() == ErrorKind::too_long);
  std::stop_source stop;
  stop.request_stop();
  const std::vector<std::vector<Token>> good{{5}};
  CHECK(runtime.runner->embed(good, stop.get_token()).error().kind() == ErrorKind::cancelled);
}

TEST_CASE("generate: the text as it comes, on the caller's thread") {
  Runtime runtime;
  const auto caller = std::this_thread::get_id();
  std::string streamed;
  const auto answer = generate(*runtime.runner, greedy({7}, 30), [&](std::string_view text) {
    CHECK(std::this_thread::get_id() == caller);
    streamed += text;
  });
  REQUIRE(answer.ok());
  CHECK(answer->text == streamed);
  CHECK(answer->tokens.size() == 30);
  CHECK(answer->usage.completion_tokens == 30);
  CHECK(answer->finish == FinishReason::length);
}

TEST_CASE("memory: the context that fits, and refusals with the numbers") {
  ModelInfo info;
  info.context_length = 8192;
  const KvLayout layout{.layers = {}, .page_bytes = 1000};
  const struct {
    std::string what;
    std::uint32_t asked;
    std::uint64_t budget, free;
    std::uint32_t context;  // 0: refused
  } rows[] = {
      {"all of it fits", 0, 1u << 20, 0, 8192},
      {"exactly", 0, 257000, 0, 8192},
      {"a page too little", 0, 256999, 0, 8160},
      {"hardly any", 0, 9000, 0, 256},
      {"too little for anything", 0, 8999, 0, 0},
      {"what was asked", 1000, 33000, 0, 1000},
      {"what was asked does not fit", 1000, 32999, 0, 0},
      {"more than trained", 8193, 1u << 30, 0, 0},
      {"half of what is free", 0, 0, (256u << 20) + 2 * 257000, 8192},
      {"nothing is free", 0, 0, 100u << 20, 0},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto plan = plan_memory(
        info, layout, {.context_tokens = row.asked, .kv_budget_bytes = row.budget}, row.free);
    CHECK(plan.ok() == (row.context > 0));
    if (!plan.ok()) continue;
    CHECK(plan->context_tokens == row.context);
    CHECK(plan->kv_pages > row.context / 32);
    CHECK(plan->kv_pages <= std::max(row.budget, row.free) / 1000);
  }
  CHECK(plan_memory(info, {}, {}, 0)->context_tokens == 8192);  // an encoder keeps nothing
  const auto longest = [&](std::uint32_t most) {
    return plan_memory(info, layout, {.max_context_tokens = most, .kv_budget_bytes = 1u << 20}, 0)
        ->context_tokens;
  };
  CHECK(longest(1000) == 1000);
  CHECK(longest(100'000) == 8192);
}
