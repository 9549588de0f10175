// The sampler against a slow, obvious one: whole sorts, doubles, one stage after the other.
#include "runtime/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "runtime/fake_model.h"
#include "runtime/random.h"

using namespace hearth;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

struct Choice {
  Token token;
  double logit, p;
};
using Choices = std::vector<Choice>;

void softmax(Choices& choices, double temperature) {
  double best = -infinity, total = 0;
  for (const Choice& choice : choices) best = std::max(best, choice.logit);
  for (Choice& choice : choices) total += choice.p = std::exp((choice.logit - best) / temperature);
  for (Choice& choice : choices) choice.p /= total;
}

void keep_until(Choices& choices, double p) {
  double kept = 0;
  std::size_t n = 0;
  while (n < choices.size() && kept < p) kept += choices[n++].p;
  choices.resize(std::max<std::size_t>(n, 1));
}

void sort_best_first(Choices& choices) {
  std::ranges::stable_sort(choices, [](const Choice& a, const Choice& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
  });
}

// The distribution that is drawn from, in the order it is walked.
Choices reference(const SamplingOptions& options, std::span<const float> logits, double mu) {
  Choices choices;
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (logits[i] > -infinity) choices.push_back({static_cast<Token>(i), logits[i], 0});
  if (options.mirostat == 2) {
    softmax(choices, options.temperature);
    Choices kept;
    for (const Choice& choice : choices)
      if (-std::log2(choice.p) <= mu) kept.push_back(choice);
    const double best = std::ranges::max_element(choices, {}, &Choice::logit)->logit;
    if (kept.empty())
      for (const Choice& choice : choices)
        if (choice.logit == best) kept.push_back(choice);
    softmax(kept, options.temperature);
    return kept;
  }
  const bool truncates =
      options.top_k > 0 || options.typical_p < 1 || options.top_p < 1 || options.min_p > 0;
  if (truncates) sort_best_first(choices);
  if (options.top_k > 0 && choices.size() > static_cast<std::size_t>(options.top_k))
    choices.resize(static_cast<std::size_t>(options.top_k));
  if (options.typical_p < 1) {
    softmax(choices, 1);
    double entropy = 0;
    for (const Choice& choice : choices) entropy -= choice.p * std::log(choice.p);
    std::ranges::stable_sort(
        choices, {}, [&](const Choice& choice) { return std::abs(-std::log(choice.p) - entropy); });
    keep_until(choices, options.typical_p);
    sort_best_first(choices);
  }
  if (options.top_p < 1) {
    softmax(choices, 1);
    keep_until(choices, options.top_p);
  }
  if (options.min_p > 0) {
    softmax(choices, 1);
    const double floor = options.min_p * choices.front().p;
    std::erase_if(choices, [&](const Choice& choice) { return choice.p < floor * (1 - 1e-6); });
  }
  softmax(choices, options.temperature);
  return choices;
}

std::vector<float> random_logits(std::size_t n, std::uint64_t seed, float spread) {
  std::vector<float> logits(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double u = uniform({.seed = seed, .stream = 1, .index = 2 * i}) + 1e-12;
    const double v = uniform({.seed = seed, .stream = 1, .index = 2 * i + 1});
    logits[i] =
        spread * static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(6.283185307 * v));
  }
  return logits;
}

// Draws with many seeds; every draw must be what the reference draws with the same number.
void agree(SamplingOptions options, std::span<const float> logits) {
  const FakeTokenizer tokenizer(static_cast<std::int32_t>(logits.size()));
  const Choices choices = reference(options, logits, 2 * options.mirostat_tau);
  SamplerScratch scratch;
  for (options.seed = 0; options.seed < 10; ++options.seed) {
    Sampler sampler(options, tokenizer, 0, 0);
    const auto token = sampler.pick({}, logits, scratch);
    REQUIRE(token);
    const double u = uniform({.seed = options.seed, .stream = 0, .index = 0});
    double below = 0;
    std::size_t i = 0;
    while (i + 1 < choices.size() && below + choices[i].p <= u) below += choices[i++].p;
    const bool at_boundary = std::min(u - below, below + choices[i].p - u) < 1e-5;
    CHECK((*token == choices[i].token || at_boundary));
  }
}

}  // namespace

TEST_CASE("every sampler agrees with the slow one") {
  std::vector<SamplingOptions> rows;
  for (const float temperature : {0.5f, 2.0f})
    for (const int top_k : {0, 1, 5, 40, 1000000})
      for (const float typical : {1.0f, 0.9f, 0.2f})
        for (const float top_p : {1.0f, 0.95f, 0.3f, 1e-6f})
          for (const float min_p : {0.0f, 0.05f, 1.0f})
            rows.push_back({.temperature = temperature,
                            .top_k = top_k,
                            .top_p = top_p,
                            .min_p = min_p,
                            .typical_p = typical});
  for (const float tau : {0.5f, 3.0f, 10.0f}) {
    rows.push_back({});
    rows.back().mirostat = 2;
    rows.back().mirostat_tau = tau;
  }
  for (const std::size_t vocabulary : {1, 2, 17, 700})
    for (const float spread : {0.0f, 0.5f, 3.0f, 30.0f}) {
      auto logits = random_logits(vocabulary, 11 + vocabulary, spread);
      if (vocabulary > 10) logits[3] = logits[7], logits[5] = -infinity;
      for (const SamplingOptions& options : rows) {
        CAPTURE(vocabulary);
        CAPTURE(spread);
        CAPTURE(options.temperature);
        CAPTURE(options.top_k);
        CAPTURE(options.typical_p);
        CAPTURE(options.top_p);
        CAPTURE(options.min_p);
        // Equal distances from the entropy are ordered by rounding: there is no one right cut.
        if (options.typical_p < 1 && spread == 0) continue;
        agree(options, logits);
      }
    }
}

TEST_CASE("collect_best is the front of a whole sort, at any k and with ties") {
  auto logits = random_logits(20000, 5, 2);
  for (float& logit : logits) logit = std::round(logit * 20) / 20;  // many ties
  std::vector<Candidate> all, best;
  collect(logits, -infinity, all);
  std::ranges::sort(all, is_better);
  for (const std::size_t k : {1, 2, 63, 100, 4000, 19999, 20000, 30000}) {
    collect_best(logits, k, best);
    REQUIRE(best.size() == std::min<std::size_t>(k, all.size()));
    CHECK(std::ranges::equal(best, std::span(all).first(best.size()),
                             [](const Candidate& a, const Candidate& b) {
                               return a.token == b.token && a.logit == b.logit;
                             }));
  }
}

TEST_CASE("exp_nonpositive is within 4e-7 of exp, and 0 where nothing is left") {
  for (double x = -86; x <= 0; x += 0.0013) {
    const auto in = static_cast<float>(x);
    CHECK(std::abs(exp_nonpositive(in) / std::exp(double{in}) - 1) < 4e-7);
  }
  CHECK(exp_nonpositive(0) == 1);
  CHECK(exp_nonpositive(-88) == 0);
  CHECK(exp_nonpositive(-infinity) == 0);
}

TEST_CASE("greedy takes the first of equal maxima, and so does a temperature too small") {
  std::vector<float> logits(1000, 1.0f);
  logits[400] = logits[700] = 2;
  const FakeTokenizer tokenizer(1000);
  SamplerScratch scratch;
  for (const float temperature : {0.0f, 1e-45f, 1e-6f}) {
    const SamplingOptions options{.temperature = temperature};
    Sampler sampler(options, tokenizer, 0, 0);
    CHECK(*sampler.pick({}, logits, scratch) == 400);
  }
}

TEST_CASE("logits that are no numbers are an error that names the first") {
  const FakeTokenizer tokenizer(100);
  SamplerScratch scratch;
  const struct {
    std::string what;
    std::size_t at;
    float value;
    std::string says;
  } rows[] = {{"NaN", 99, std::numeric_limits<float>::quiet_NaN(), "token 99 is nan"},
              {"NaN early", 0, -std::numeric_limits<float>::quiet_NaN(), "token 0 is"},
              {"+inf", 50, infinity, "token 50 is inf"}};
  for (const auto& row : rows)
    for (const float temperature : {0.0f, 1.0f}) {
      CAPTURE(row.what);
      std::vector<float> logits(100, 0.5f);
      logits[row.at] = row.value;
      const SamplingOptions options{.temperature = temperature};
      Sampler sampler(options, tokenizer, 0, 0);
      const auto token = sampler.pick({}, logits, scratch);
      REQUIRE(!token.ok());
      CHECK(token.error().message().find(row.says) != std::string::npos);
      CHECK(!log_probabilities(logits, 1, 2, scratch).ok());
    }
  const std::vector<float> nothing(100, -infinity);
  const SamplingOptions options;
  Sampler sampler(options, tokenizer, 0, 0);
  CHECK(!sampler.pick({}, nothing, scratch).ok());
}

TEST_CASE("logprobs are the log softmax of raw logits; alternatives best first, ties by id") {
  std::vector<float> logits = random_logits(300, 3, 4);
  logits[10] = logits[20] = logits[30] = 20;
  double total = 0;
  for (const float logit : logits) total += std::exp(double{logit} - 20);
  SamplerScratch scratch;
  const auto got = log_probabilities(logits, 77, 5, scratch);
  REQUIRE(got);
  CHECK(got->logprob == doctest::Approx(double{logits[77]} - 20 - std::log(total)).epsilon(1e-5));
  REQUIRE(got->alternatives.size() == 5);
  CHECK(got->alternatives[0].token == 10);
  CHECK(got->alternatives[1].token == 20);
  CHECK(got->alternatives[2].token == 30);
  CHECK(std::exp(got->alternatives[0].logprob) == doctest::Approx(1 / total).epsilon(1e-5));
  CHECK(got->alternatives[3].logprob >= got->alternatives[4].logprob);
  CHECK(log_probabilities(logits, 0, 1000, scratch)->alternatives.size() == 300);
}

TEST_CASE("mirostat brings the surprise to its target") {
  const std::size_t vocabulary = 3000;
  const auto logits = random_logits(vocabulary, 9, 2.5f);
  Choices choices = reference({}, logits, 0);
  std::vector<double> surprise(vocabulary);
  for (const Choice& choice : choices)
    surprise[static_cast<std::size_t>(choice.token)] = -std::log2(choice.p);
  const FakeTokenizer tokenizer(static_cast<std::int32_t>(vocabulary));
  SamplerScratch scratch;
  for (const int version : {1, 2})
    for (const float tau : {3.0f, 4.5f, 6.0f}) {
      CAPTURE(version);
      CAPTURE(tau);
      const SamplingOptions options{.mirostat = version, .mirostat_tau = tau};
      Sampler sampler(options, tokenizer, 0, 0);
      std::vector<Token> history;
      double total = 0;
      for (int i = 0; i < 1000; ++i) {
        history.push_back(*sampler.pick(history, logits, scratch));
        if (i >= 200) total += surprise[static_cast<std::size_t>(history.back())];
      }
      CHECK(total / 800 == doctest::Approx(tau).epsilon(0.06));
    }
}

TEST_CASE("the same seed draws the same tokens; other seeds and choices draw others") {
  const auto logits = random_logits(500, 21, 1);
  const FakeTokenizer tokenizer(500);
  SamplerScratch scratch;
  const auto draw = [&](std::uint64_t seed, int choice) {
    const SamplingOptions options{.seed = seed};
    Sampler sampler(options, tokenizer, 3, choice);
    std::vector<Token> history{1, 2, 3};
    for (int i = 0; i < 50; ++i) history.push_back(*sampler.pick(history, logits, scratch));
    return history;
  };
  CHECK(draw(1, 0) == draw(1, 0));
  CHECK(draw(1, 0) != draw(2, 0));
  CHECK(draw(1, 0) != draw(1, 1));
}
