#include "runtime/penalties.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/prompt_rows.h"

namespace hearth {
namespace {

// A token of this bias or less is never chosen.
constexpr float ban = -100.0f;

// base^exponent stays finite; the logits it is taken from stay ordered below all others.
float dry_penalty(const SamplingOptions& options, std::uint32_t run) {
  const auto beyond = static_cast<double>(run) - options.dry_allowed_length;
  return static_cast<float>(
      std::min(double{options.dry_multiplier} * std::pow(double{options.dry_base}, beyond), 1e30));
}

}  // namespace

void repeated_runs(std::span<const Token> history, std::uint32_t limit,
                   std::vector<std::uint32_t>& runs) {
  // The Z function of the reversed history.  Source: Gusfield 1997, section 1.4.
  const std::size_t n = history.size();
  const auto at = [&](std::size_t i) { return history[n - 1 - i]; };
  runs.assign(n, 0);
  if (n == 0) return;
  runs[n - 1] = limit;
  std::size_t left = 0, right = 0;  // [left, right) equals the beginning, right as far as seen
  for (std::size_t i = 1; i < n; ++i) {
    std::size_t length = 0;
    if (i < right) length = std::min(right - i, std::size_t{runs[n - 1 - (i - left)]});
    while (length < limit && i + length < n && at(length) == at(i + length)) ++length;
    if (i + length > right) left = i, right = i + length;
    runs[n - 1 - i] = static_cast<std::uint32_t>(length);
  }
}

Penalties::Penalties(const SamplingOptions& options, const Tokenizer& tokenizer,
                     std::size_t prompt_tokens)
    : options_(options), tokenizer_(tokenizer), prompt_tokens_(prompt_tokens) {}

bool Penalties::active() const {
  return repetition_active() || dry_active() || options_.frequency_penalty != 0 ||
         options_.presence_penalty != 0 || !options_.logit_bias.empty();
}

void Penalties::apply(std::span<const Token> history, std::span<float> logits) {
  consume(history);
  for (const auto& [token, bias] : options_.logit_bias) {
    float& logit = logits[static_cast<std::size_t>(token)];
    logit = bias <= ban ? -std::numeric_limits<float>::infinity() : logit + bias;
  }
  repeat(logits);
  if (dry_active()) dry(history, logits);
}

void Penalties::consume(std::span<const Token> history) {
  const bool all = options_.penalty_last_n < 0;
  const auto last_n = static_cast<std::size_t>(std::max(options_.penalty_last_n, 0));
  for (; seen_ < history.size(); ++seen_) {
    const Token token = history[seen_];
    if (seen_ >= prompt_tokens_) ++made_[token];
    if (repetition_active()) {
      if (!is_picture_row(token)) ++window_[token];
      if (!all && seen_ >= last_n && !is_picture_row(history[seen_ - last_n])) {
        const auto leaving = window_.find(history[seen_ - last_n]);
        if (--leaving->second == 0) window_.erase(leaving);
      }
    }
    if (!dry_active()) continue;
    if (is_picture_row(token)) {  // no run goes on over it
      break_at_.push_back(true);
      continue;
    }
    const std::string_view piece = tokenizer_.piece(token, true);
    const std::size_t before = tail_.size();
    tail_ += piece;
    bool ends_here = false;
    for (const std::string& breaker : options_.dry_breakers) {
      const std::size_t from = before >= breaker.size() ? before - breaker.size() + 1 : 0;
      ends_here = ends_here || tail_.find(breaker, from) != std::string::npos;
    }
    break_at_.push_back(ends_here);
    if (tail_.size() > max_dry_breaker_bytes) tail_.erase(0, tail_.size() - max_dry_breaker_bytes);
  }
}

void Penalties::repeat(std::span<float> logits) const {
  for (const auto& [token, count] : window_) {
    float& logit = logits[static_cast<std::size_t>(token)];
    logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
  }
  if (options_.frequency_penalty == 0 && options_.presence_penalty == 0) return;
  for (const auto& [token, count] : made_)
    logits[static_cast<std::size_t>(token)] -=
        static_cast<float>(count) * options_.frequency_penalty + options_.presence_penalty;
}

bool Penalties::breaks(std::string_view piece) const {
  return std::ranges::any_of(options_.dry_breakers, [&](const std::string& breaker) {
    return piece.find(breaker) != std::string_view::npos;
  });
}

void Penalties::dry(std::span<const Token> history, std::span<float> logits) {
  std::size_t first = 0;
  if (options_.dry_last_n > 0 && history.size() > static_cast<std::size_t>(options_.dry_last_n))
    first = history.size() - static_cast<std::size_t>(options_.dry_last_n);
  const auto window = history.subspan(first);
  std::uint32_t limit = 0;  // tokens since the last breaker: no run is longer
  while (limit < window.size() && !break_at_[history.size() - 1 - limit]) ++limit;
  if (limit < static_cast<std::uint32_t>(options_.dry_allowed_length)) return;

  repeated_runs(window, limit, runs_);
  std::unordered_map<Token, std::uint32_t> longest;  // by the token that followed the run
  for (std::size_t i = 0; i + 1 < window.size(); ++i)
    if (runs_[i] >= static_cast<std::uint32_t>(options_.dry_allowed_length) &&
        !is_picture_row(window[i + 1])) {
      auto& run = longest[window[i + 1]];
      run = std::max(run, runs_[i]);
    }
  for (const auto& [token, run] : longest)
    if (!breaks(tokenizer_.piece(token, true)))
      logits[static_cast<std::size_t>(token)] -= dry_penalty(options_, run);
}

}  // namespace hearth
