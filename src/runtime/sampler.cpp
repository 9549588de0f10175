#include "runtime/sampler.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "runtime/random.h"

namespace hearth {
namespace {

constexpr std::size_t mirostat_sample = 100;  // m: tokens from which the exponent is estimated

Error unusable(std::span<const float> logits) {
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (!(logits[i] < std::numeric_limits<float>::infinity()))
      return Error(ErrorKind::corrupt, fmt::format("logit of token {} is {}", i, logits[i]));
  return Error(ErrorKind::corrupt, fmt::format("all {} logits are -inf", logits.size()));
}

void forbid_others(std::span<const std::uint64_t> allowed, std::span<float> logits) {
  constexpr float never = -std::numeric_limits<float>::infinity();
  for (std::size_t word = 0; word * 64 < logits.size(); ++word) {
    const std::uint64_t bits = word < allowed.size() ? allowed[word] : 0;
    if (bits == ~std::uint64_t{0}) continue;
    const std::size_t end = std::min(logits.size(), word * 64 + 64);
    for (std::size_t i = word * 64; i < end; ++i)
      if ((bits >> (i % 64) & 1) == 0) logits[i] = never;
  }
}

// How many of the best tokens mirostat 1 keeps, from the best ones' logits.
// Source: Basu et al. 2020, algorithm 1 and equation 30.
std::size_t mirostat_k(std::span<const Candidate> best, double vocabulary, double temperature,
                       double mu) {
  double products = 0, squares = 0;
  for (std::size_t i = 0; i + 1 < best.size(); ++i) {
    const double rank = std::log((static_cast<double>(i) + 2) / (static_cast<double>(i) + 1));
    products += rank * (double{best[i].logit} - best[i + 1].logit) / temperature;
    squares += rank * rank;
  }
  const double exponent = squares > 0 ? products / squares : 1;
  const double eps = exponent - 1;
  // eps / (1 - N^-eps) tends to 1 / ln N.
  const double factor = std::abs(eps) < 1e-6 ? 1 / std::log(std::max(vocabulary, 2.0))
                                             : eps / (1 - std::pow(vocabulary, -eps));
  const double k = std::pow(factor * std::exp2(mu), 1 / std::max(exponent, 1e-6));
  if (!(k > 1)) return 1;
  return static_cast<std::size_t>(std::min(k, vocabulary));
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options, const Tokenizer& tokenizer,
                 std::size_t prompt_tokens, int choice)
    : options_(options),
      penalties_(options, tokenizer, prompt_tokens),
      prompt_tokens_(prompt_tokens),
      choice_(choice),
      mu_(2 * options.mirostat_tau) {}

Result<Token> Sampler::pick(std::span<const Token> history, std::span<const float> logits,
                            SamplerScratch& scratch, std::span<const std::uint64_t> allowed) {
  RowSummary row = summarise(logits);
  if (!row.is_usable) return unusable(logits);
  if (penalties_.active() || !allowed.empty()) {
    scratch.logits.assign(logits.begin(), logits.end());
    if (penalties_.active()) penalties_.apply(history, scratch.logits);
    if (!allowed.empty()) forbid_others(allowed, scratch.logits);
    logits = scratch.logits;
    row = summarise(logits);
    if (!row.is_usable && !allowed.empty())
      return Error(ErrorKind::invalid, "grammar: no token of this model can come next");
    if (!row.is_usable) return unusable(logits);
  }
  if (options_.temperature < greedy_below) return first_of_best(logits, row.best);

  random_ = uniform({.seed = options_.seed,
                     .stream = static_cast<std::uint32_t>(choice_),
                     .index = history.size() - prompt_tokens_});
  if (options_.mirostat == 1) return mirostat_1(logits, row.best, scratch);
  if (options_.mirostat == 2) return mirostat_2(logits, row.best, scratch);
  const bool truncates =
      options_.top_k > 0 || options_.top_p < 1 || options_.min_p > 0 || options_.typical_p < 1;
  return truncates ? truncated(logits, row.best, scratch) : draw(logits, row.best, scratch.weights);
}

Token Sampler::truncated(std::span<const float> logits, float best, SamplerScratch& scratch) {
  auto& candidates = scratch.candidates;
  double mass = 0;
  if (options_.top_k > 0) {
    collect_best(logits, static_cast<std::size_t>(options_.top_k), candidates);
    mass = mass_of(candidates, best);
  } else {
    mass = softmax_weights(logits, best, 1, {});
    // Without a need for the whole row only its best part is taken out: the cut lies in it when it
    // holds enough of the mass.
    const float min_p_floor =
        options_.min_p > 0 ? best + std::log(options_.min_p) : -std::numeric_limits<float>::max();
    for (float depth = 8; options_.typical_p >= 1; depth *= 2) {
      const float floor = std::max(best - depth, min_p_floor);
      collect(logits, floor, candidates);
      if (floor == min_p_floor || depth > 64 || mass_of(candidates, best) >= options_.top_p * mass)
        break;
    }
    if (options_.typical_p < 1)
      collect(logits, -std::numeric_limits<float>::infinity(), candidates);
  }
  if (options_.typical_p < 1) {
    keep_typical(candidates, options_.typical_p);
    best = candidates.front().logit;
    mass = mass_of(candidates, best);
  }
  if (options_.top_p < 1) keep_top_p(candidates, options_.top_p, mass);
  keep_min_p(candidates, options_.min_p);
  std::sort(candidates.begin(), candidates.end(), is_better);
  return draw(candidates, candidates.front().logit);
}

Token Sampler::mirostat_1(std::span<const float> logits, float best, SamplerScratch& scratch) {
  auto& candidates = scratch.candidates;
  collect_best(logits, mirostat_sample, candidates);
  const double temperature = options_.temperature;
  const std::size_t k =
      mirostat_k(candidates, static_cast<double>(logits.size()), temperature, mu_);
  collect_best(logits, k, candidates);
  const Token token = draw(candidates, best);
  const double mass = softmax_weights(logits, best, options_.temperature, {});
  const double logit = logits[static_cast<std::size_t>(token)];
  observe((std::log(mass) - (logit - best) / temperature) / std::numbers::ln2);
  return token;
}

// Source: Basu et al. 2020, algorithm 2: tokens of more than mu bits of surprise are cut off.
Token Sampler::mirostat_2(std::span<const float> logits, float best, SamplerScratch& scratch) {
  const double temperature = options_.temperature;
  const double log_mass = std::log(softmax_weights(logits, best, options_.temperature, {}));
  const double floor = best + temperature * (log_mass - mu_ * std::numbers::ln2);
  auto& candidates = scratch.candidates;
  collect(logits, std::min(static_cast<float>(floor), best), candidates);
  const Token token = draw(candidates, best);
  const double logit = logits[static_cast<std::size_t>(token)];
  observe((log_mass - (logit - best) / temperature) / std::numbers::ln2);
  return token;
}

void Sampler::observe(double surprise_bits) {
  mu_ -= options_.mirostat_eta * static_cast<float>(surprise_bits - options_.mirostat_tau);
}

Token Sampler::draw(std::span<const Candidate> candidates, float best) const {
  const float scale = 1.0f / options_.temperature;
  double mass = 0;
  for (const Candidate& candidate : candidates)
    mass += exp_nonpositive((candidate.logit - best) * scale);
  double left = random_ * mass;
  Token last = candidates.front().token;
  for (const Candidate& candidate : candidates) {
    const float weight = exp_nonpositive((candidate.logit - best) * scale);
    if (weight <= 0) continue;
    last = candidate.token;
    left -= weight;
    if (left < 0) break;
  }
  return last;
}

Token Sampler::draw(std::span<const float> logits, float best, std::vector<float>& weights) const {
  weights.resize(logits.size());
  double left = random_ * softmax_weights(logits, best, options_.temperature, weights);
  std::size_t last = 0;  // rounding may leave a little after the last weight
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] <= 0) continue;
    last = i;
    left -= weights[i];
    if (left < 0) break;
  }
  return static_cast<Token>(last);
}

Result<Logprobs> log_probabilities(std::span<const float> logits, Token token, int top,
                                   SamplerScratch& scratch) {
  const RowSummary row = summarise(logits);
  if (!row.is_usable) return unusable(logits);
  const double log_mass = std::log(softmax_weights(logits, row.best, 1, {}));
  const auto logprob = [&](float logit) {
    return static_cast<float>(double{logit} - row.best - log_mass);
  };
  Logprobs result{.logprob = logprob(logits[static_cast<std::size_t>(token)]), .alternatives = {}};
  if (top > 0) collect_best(logits, static_cast<std::size_t>(top), scratch.candidates);
  for (int i = 0; i < top && i < static_cast<int>(scratch.candidates.size()); ++i) {
    const Candidate& candidate = scratch.candidates[static_cast<std::size_t>(i)];
    result.alternatives.push_back({candidate.token, logprob(candidate.logit)});
  }
  return result;
}

}  // namespace hearth
