#include "runtime/sampling.h"

#include <fmt/core.h>

#include <limits>

namespace hearth {
namespace {

// Ends of a range; an open end is not itself allowed.
struct Range {
  double low, high;
  bool low_is_open = false;
};

constexpr double any_int = std::numeric_limits<std::int32_t>::max();

Status check(std::string_view name, double value, Range range) {
  const bool above = range.low_is_open ? value > range.low : value >= range.low;
  if (above && value <= range.high) return Done{};  // NaN fails both
  return Error(ErrorKind::invalid,
               fmt::format("{} = {}: needs {} {} and at most {}", name, value,
                           range.low_is_open ? "more than" : "at least", range.low, range.high));
}

Status check_breakers(const std::vector<std::string>& breakers) {
  if (breakers.size() > max_dry_breakers)
    return Error(ErrorKind::invalid, fmt::format("dry_sequence_breakers: {} texts, of at most {}",
                                                 breakers.size(), max_dry_breakers));
  for (const std::string& text : breakers)
    if (text.empty() || text.size() > max_dry_breaker_bytes)
      return Error(ErrorKind::invalid,
                   fmt::format("dry_sequence_breakers: a text of {} bytes: needs 1 to {}",
                               text.size(), max_dry_breaker_bytes));
  return Done{};
}

Status check_bias(const std::map<Token, float>& bias, std::int32_t vocabulary) {
  if (bias.size() > max_logit_biases)
    return Error(ErrorKind::invalid, fmt::format("logit_bias: {} entries, of at most {}",
                                                 bias.size(), max_logit_biases));
  for (const auto& [token, value] : bias) {
    if (token < 0 || token >= vocabulary)
      return Error(ErrorKind::invalid,
                   fmt::format("logit_bias: token {}: needs 0 to {}", token, vocabulary - 1));
    TRY(check(fmt::format("logit_bias[{}]", token), value, {-100, 100}));
  }
  return Done{};
}

}  // namespace

Status validate(const SamplingOptions& options, std::int32_t vocabulary) {
  const struct {
    std::string_view name;
    double value;
    Range range;
  } rows[] = {
      {"temperature", options.temperature, {0, 2}},
      {"top_k", static_cast<double>(options.top_k), {0, any_int}},
      {"top_p", options.top_p, {0, 1, true}},
      {"min_p", options.min_p, {0, 1}},
      {"typical_p", options.typical_p, {0, 1, true}},
      {"repetition_penalty", options.repetition_penalty, {0, 10, true}},
      {"frequency_penalty", options.frequency_penalty, {-2, 2}},
      {"presence_penalty", options.presence_penalty, {-2, 2}},
      {"penalty_last_n", static_cast<double>(options.penalty_last_n), {-1, any_int}},
      {"dry_multiplier", options.dry_multiplier, {0, 100}},
      {"dry_base", options.dry_base, {1, 10}},
      {"dry_allowed_length", static_cast<double>(options.dry_allowed_length), {1, any_int}},
      {"dry_penalty_last_n", static_cast<double>(options.dry_last_n), {-1, any_int}},
      {"mirostat", static_cast<double>(options.mirostat), {0, 2}},
      {"mirostat_tau", options.mirostat_tau, {0, 20, true}},
      {"mirostat_eta", options.mirostat_eta, {0, 1, true}},
  };
  for (const auto& row : rows) TRY(check(row.name, row.value, row.range));
  TRY(check_breakers(options.dry_breakers));
  return check_bias(options.logit_bias, vocabulary);
}

}  // namespace hearth
