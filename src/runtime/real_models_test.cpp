// The runner with real models: what it says is what the model says alone, bit for bit when asked.
#include <doctest/doctest.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>

#include "base/files.h"
#include "kernels/select.h"
#include "models/test_support.h"
#include "runtime/request_testing.h"
#include "runtime/runner.h"

using namespace hearth;
using hearth::testing::greedy_past_end;

namespace {

struct Loaded {
  const kernels::Kernels* table = nullptr;
  std::shared_ptr<ThreadPool> pool;
  std::shared_ptr<const Model> model;

  std::unique_ptr<Runner> runner(RunnerOptions options = {}) const {
    if (options.kv_budget_bytes == 0) options.kv_budget_bytes = 64u << 20;
    auto made = make_runner(model, *table, pool, options);
    REQUIRE_MESSAGE(made.ok(), made.error().message());
    return std::move(*made);
  }
};

Loaded load(const std::string& path, int threads = 2, bool mtp = false) {
  Loaded loaded;
  loaded.table = *kernels::choose("");
  loaded.pool = std::make_shared<ThreadPool>(threads);
  ops::Context ctx{.kernels = loaded.table, .pool = loaded.pool.get(), .deterministic = false};
  const auto package = open_package(path);
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  LoadOptions options;
  options.mtp = mtp;
  auto model = load_model(ctx, *package, options);
  REQUIRE_MESSAGE(model.ok(), model.error().message());
  loaded.model = *model;
  return loaded;
}

std::vector<Token> prompt_of(std::uint32_t seed, std::size_t tokens, std::uint32_t vocabulary) {
  std::vector<Token> prompt;
  for (std::size_t i = 0; i < tokens; ++i) {
    seed = seed * 1664525u + 1013904223u;
    prompt.push_back(static_cast<Token>((seed >> 8) % vocabulary));
  }
  return prompt;
}

// Runs all requests at once.  Returns what each said: tokens with their logprobs.
std::vector<std::vector<TokenInfo>> answer_all(Runner& runner,
                                               const std::vector<GenerateRequest>& requests) {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::vector<TokenInfo>> answers(requests.size());
  std::size_t left = requests.size();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Status status = runner.submit(requests[i], [&, i](const Event& event) {
      const std::lock_guard lock(mutex);
      CHECK(!event.error);
      answers[i].insert(answers[i].end(), event.tokens.begin(), event.tokens.end());
      if (event.last) --left;
      changed.notify_all();
    });
    CHECK(status.ok());
    if (!status.ok()) --left;
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return left == 0; });
  return answers;
}

bool same_bits(const std::vector<TokenInfo>& a, const std::vector<TokenInfo>& b) {
  return std::ranges::equal(a, b, [](const TokenInfo& x, const TokenInfo& y) {
    return x.token == y.token && x.logprob == y.logprob;
  });
}

}  // namespace

TEST_CASE("stories260K: the story is the reference's, byte for byte, cached or not, in company") {
  const std::string folder = models::shared_data("models/stories260K");
  if (folder.empty()) return;
  const auto story = read_file(folder + "/greedy-200.txt", 1 << 16);
  REQUIRE(story.ok());
  const Loaded loaded = load(folder + "/stories260K-f32.gguf");
  const auto runner = loaded.runner();
  for (int time = 0; time < 2; ++time) {
    const auto answer = generate(*runner, greedy_past_end({1}, 200));
    REQUIRE(answer.ok());
    std::string text = answer->text;
    while (text.size() > story->size()) text.pop_back();
    CHECK(text == *story);
  }
  std::vector<GenerateRequest> requests;
  for (std::uint32_t i = 0; i < 30; ++i)
    requests.push_back(greedy_past_end(
        i % 3 == 0 ? std::vector<Token>{1} : prompt_of(i, i * 5 + 1, 512), i % 3 == 0 ? 200 : 40));
  for (std::size_t i = 0; const auto& tokens : answer_all(*runner, requests)) {
    if (i++ % 3 != 0) continue;
    std::string text;
    for (const TokenInfo& token : tokens) text += token.bytes;
    CHECK(text.substr(0, story->size()) == *story);
  }
}

TEST_CASE("golden models: together and preempted, each says what it says alone") {
  for (const std::string name : {"llama", "gemma2", "gpt-oss", "qwen3"}) {
    CAPTURE(name);
    const auto golden = models::read_golden(name);
    const Loaded loaded = load(golden.containers().back());
    ops::Context ctx{.kernels = loaded.table, .pool = loaded.pool.get(), .deterministic = true};
    const std::uint32_t vocabulary = loaded.model->info().vocabulary;
    const std::uint64_t pages = 9;
    const auto runner =
        loaded.runner({.context_tokens = 128,
                       .kv_budget_bytes = pages * loaded.model->kv_layout().page_bytes,
                       .step_tokens = 24,
                       .deterministic = true});
    std::vector<GenerateRequest> requests;
    for (std::uint32_t i = 0; i < 8; ++i)
      requests.push_back(greedy_past_end(prompt_of(i / 2, 3 + 7 * i, vocabulary), 30));
    const auto answers = answer_all(*runner, requests);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const auto alone = models::greedy(*loaded.model, ctx, requests[i].prompt, 30);
      REQUIRE(alone.ok());
      std::vector<Token> tokens;
      for (const TokenInfo& token : answers[i]) tokens.push_back(token.token);
      CHECK(tokens == *alone);
    }
  }
}

TEST_CASE("deterministic: the same bits under any load, cache, chunking and thread count") {
  const auto golden = models::read_golden("qwen3");
  std::vector<TokenInfo> first;
  for (const int threads : {1, 3}) {
    const Loaded loaded = load(golden.containers().back(), threads);
    const std::uint32_t vocabulary = loaded.model->info().vocabulary;
    auto request = greedy_past_end(prompt_of(77, 45, vocabulary), 40);
    request.sampling = {.temperature = 0.9f, .top_p = 0.95f, .seed = 3};
    request.deterministic = request.logprobs = true;
    for (const std::uint32_t step_tokens : {7u, 256u}) {
      const auto runner = loaded.runner({.context_tokens = 120, .step_tokens = step_tokens});
      for (const std::uint32_t load : {0u, 5u, 5u}) {  // the later ones find the first one's pages
        std::vector<GenerateRequest> requests{request};
        for (std::uint32_t i = 0; i < load; ++i)
          requests.push_back(greedy_past_end(prompt_of(i, 9 * i + 1, vocabulary), 50));
        const auto answer = answer_all(*runner, requests).front();
        REQUIRE(answer.size() == 40);
        if (first.empty()) first = answer;
        CAPTURE(threads);
        CAPTURE(step_tokens);
        CAPTURE(load);
        CHECK(same_bits(answer, first));
      }
    }
  }
}

TEST_CASE("models that guess further tokens say what they say without, greedy or sampled") {
  for (const std::string name :
       {"deepseek3", "glm4-moe", "qwen3-next", "qwen35", "qwen35-moe", "right"}) {
    CAPTURE(name);
    const Loaded loaded = load("tests/golden/mtp/" + name + "/model.gguf", 2, true);
    const auto runner = loaded.runner({.context_tokens = 128});
    for (const float temperature : {0.0f, 0.9f}) {
      CAPTURE(temperature);
      std::vector<std::vector<TokenInfo>> told[2];
      std::uint64_t right = 0;
      for (const bool speculate : {false, true}) {
        std::vector<GenerateRequest> requests;
        for (std::uint32_t i = 0; i < 6; ++i) {
          requests.push_back(
              greedy_past_end(prompt_of(i, 3 + 9 * i, loaded.model->info().vocabulary), 40));
          requests.back().sampling.temperature = temperature;
          requests.back().sampling.seed = 5 + i;
          requests.back().speculate = speculate;
        }
        told[speculate] = answer_all(*runner, requests);
        if (!speculate) right = runner->stats().guessed_right;
      }
      for (std::size_t i = 0; i < told[0].size(); ++i)
        CHECK(std::ranges::equal(told[0][i], told[1][i], {}, &TokenInfo::token, &TokenInfo::token));
      if (name == "right") CHECK(runner->stats().guessed_right > right);
    }
  }
}

TEST_CASE("models with states take wrong guesses back: what they say is the same, bit for bit") {
  for (const std::string name : {"mamba2", "granite-hybrid", "falcon-h1", "nemotron-h",
                                 "qwen3-next", "qwen35", "lfm2", "lfm2-moe", "rwkv7"}) {
    CAPTURE(name);
    const auto golden = models::read_golden(name);
    const Loaded loaded = load(golden.containers().back());
    const std::uint32_t vocabulary = loaded.model->info().vocabulary;
    const auto runner = loaded.runner({.context_tokens = 192, .max_running = 4});
    std::vector<GenerateRequest> requests;
    for (std::uint32_t i = 0; i < 6; ++i) {
      requests.push_back(greedy_past_end(prompt_of(i, 3 + 9 * i, vocabulary), 60));
      requests.back().logprobs = true;
      requests.back().speculate = false;
    }
    const auto wanted = answer_all(*runner, requests);
    // What is guessed is the answer, with a wrong token here and there.
    for (std::size_t i = 0; i < requests.size(); ++i) {
      requests[i].speculate = true;
      for (const TokenInfo& token : wanted[i]) requests[i].predicted.push_back(token.token);
      for (std::size_t at = 2 + i; at < requests[i].predicted.size(); at += 5 + i)
        requests[i].predicted[at] =
            (requests[i].predicted[at] + 1) % static_cast<Token>(vocabulary);
    }
    const auto guessed = answer_all(*runner, requests);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      CAPTURE(i);
      CHECK(same_bits(guessed[i], wanted[i]));
    }
    CHECK(runner->stats().guessed_right > 0);
  }
}
