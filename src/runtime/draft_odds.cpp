#include "runtime/draft_odds.h"

#include <algorithm>
#include <cmath>

namespace hearth {
namespace {

// Guesses by their probability, and how often such are right before any was made.
constexpr float kind_ends[] = {0.2f, 0.4f, 0.6f, 0.8f, 0.9f, 0.95f, 0.99f};
constexpr double first_chances[] = {0.15, 0.3, 0.5, 0.65, 0.8, 0.88, 0.94, 0.98};
constexpr double first_chance = 0.7;      // of any
constexpr double first_weight = 4;        // tries that these count for
constexpr double forgetting = 0.98;       // with every try
constexpr double forgetting_idle = 0.99;  // with every draft that would not pay
constexpr double smoothing = 0.9;         // of the time of a round
constexpr float far_below = 12;           // logits so much below the greatest add nothing

std::size_t kind_of(float probability) {
  return static_cast<std::size_t>(std::ranges::upper_bound(kind_ends, probability) -
                                  std::begin(kind_ends));
}

// Tokens expected for the time of a step.
double rate(const DraftCourse& draft, const GuessCosts& costs) {
  const double again = costs.rows_again(draft.tokens.size(), draft.expected - 1, draft.reached);
  return draft.expected / (draft.time + costs.row * again);
}

struct Guess {
  Token token;
  float probability;
};

Guess likeliest(std::span<const float> logits) {
  const auto best = std::ranges::max_element(logits);
  float sum = 0;
  for (const float logit : logits)
    if (logit > *best - far_below) sum += std::exp(logit - *best);
  return {static_cast<Token>(best - logits.begin()), 1 / sum};
}

}  // namespace

double DraftOdds::chance(const Record& record, double first) {
  return (record.right + first * first_weight) / (record.tried + first_weight);
}

bool DraftOdds::pays(const GuessCosts& costs, std::size_t drafts) {
  if (chance(all_, first_chance) > round_cost(costs, drafts) + costs.row) return true;
  all_.tried *= forgetting_idle;
  all_.right *= forgetting_idle;
  return false;
}

double DraftOdds::round_cost(const GuessCosts& costs, std::size_t drafts) const {
  const bool is_known = round_seconds_ > 0 && costs.step_seconds > 0;
  const double round = is_known ? round_seconds_ / costs.step_seconds : first_round_;
  return round / static_cast<double>(std::max<std::size_t>(drafts, 1));
}

void DraftOdds::saw_round(double seconds) {
  round_seconds_ =
      round_seconds_ == 0 ? seconds : smoothing * round_seconds_ + (1 - smoothing) * seconds;
}

bool DraftOdds::take(DraftCourse& draft, std::span<const float> logits, const GuessCosts& costs,
                     double round, std::size_t most) {
  const Guess guess = likeliest(logits);
  draft.time += round;
  const std::size_t kind = kind_of(guess.probability);
  const double reached = draft.reached * chance(records_[kind], first_chances[kind]);
  const double before = rate(draft, costs);
  DraftCourse longer = draft;
  longer.add(guess.token, kind, reached, costs.row);
  if (rate(longer, costs) <= before) return false;
  draft = std::move(longer);
  DraftCourse next = draft;
  next.time += round;
  next.add(guess.token, kind, reached * chance(all_, first_chance), costs.row);
  return draft.tokens.size() < most && rate(next, costs) > rate(draft, costs);
}

void DraftOdds::report(std::span<const std::size_t> kinds, std::size_t drafted, std::size_t right) {
  for (std::size_t i = 0; i < std::min({drafted, right + 1, kinds.size()}); ++i)
    for (Record* record : {&records_[kinds[i]], &all_}) {
      record->tried = record->tried * forgetting + 1;
      record->right = record->right * forgetting + (i < right ? 1 : 0);
    }
}

}  // namespace hearth
