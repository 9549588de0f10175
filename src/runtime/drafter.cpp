#include "runtime/drafter.h"

#include <algorithm>

namespace hearth {
namespace {

constexpr std::size_t gram = 3;               // tokens that must be equal, anywhere in the text
constexpr std::size_t most_compared = 32;     // tokens by which two places are compared
constexpr std::size_t most_candidates = 8;    // places that are compared
constexpr std::size_t sure = 8;               // equal tokens: it is no accident
constexpr std::size_t near = 96, behind = 8;  // tokens around the cursor where one equal is enough

// How often guesses are right before any was made, by the number of equal tokens before them: 0
// (the text that is copied goes on after one token that differs), 1, 2, 3, up to 5, 8, 16, more.
// That of an edited file lies above, that of free text below: some tries tell them apart.
constexpr double first_chances[] = {0.3, 0.3, 0.4, 0.4, 0.5, 0.6, 0.75, 0.9};
constexpr double first_weight = 3;        // tries that these count for
constexpr double forgetting = 0.97;       // with every try
constexpr double forgetting_idle = 0.99;  // with every draft that did not pay

std::size_t kind_of(std::size_t equal) {
  return equal <= 3 ? equal : equal <= 5 ? 4 : equal <= 8 ? 5 : equal <= 16 ? 6 : 7;
}

std::uint64_t hash_of(std::span<const Token> tokens) {
  std::uint64_t hash = 0;
  for (const Token token : tokens)
    hash = (hash ^ static_cast<std::uint32_t>(token)) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 29;
}

// How many tokens before `a` and before `b` are equal.
std::size_t equal_before(std::span<const Token> tokens, std::size_t a, std::size_t b) {
  std::size_t count = 0;
  while (count < most_compared && count < std::min(a, b) &&
         tokens[a - 1 - count] == tokens[b - 1 - count])
    ++count;
  return count;
}

}  // namespace

std::span<const Token> Drafter::draft(std::span<const Token> tokens, std::size_t most,
                                      const GuessCosts& costs) {
  index(tokens);
  seen_ = tokens.size();
  draft_.clear();
  drafted_ = most > 0 ? find(tokens) : Place{};
  if (drafted_.at == 0) return {};
  // What is copied may be the draft itself: a text that repeats goes on repeating.
  const std::size_t period = tokens.size() - drafted_.at;
  for (std::size_t i = 0, count = worth(drafted_, most, costs); i < count; ++i)
    draft_.push_back(tokens[drafted_.at + i % period]);
  return draft_;
}

// The scheduler may have cut the draft: what was not tried says nothing.
void Drafter::report(std::size_t drafted, std::size_t right) {
  if (drafted == 0) return;
  for (std::size_t i = 0; i < std::min(drafted, right + 1); ++i) {
    Record& record = records_[kind_of(drafted_.equal + i)];
    record.tried = record.tried * forgetting + 1;
    record.right = record.right * forgetting + (i < right ? 1 : 0);
  }
  if (right == 0 && drafted_.equal < sure) return;
  cursor_ = drafted_.at + right;
  replaced_ = seen_ + right + 1;
}

double Drafter::chance(std::size_t kind) const {
  const Record& record = records_[kind];
  return (record.right + first_chances[kind] * first_weight) / (record.tried + first_weight);
}

// The length with the most tokens expected for the time of a step.
std::size_t Drafter::worth(const Place& place, std::size_t most, const GuessCosts& costs) {
  double expected = 1, reached = 1, best_rate = 1;
  std::size_t best = 0;
  for (std::size_t i = 0; i < most; ++i) {
    reached *= chance(kind_of(place.equal + i));
    expected += reached;
    const double rows = static_cast<double>(i + 1) + costs.rows_again(i + 1, expected - 1, reached);
    const double rate = expected / (1 + costs.row * rows);
    if (rate > best_rate) best_rate = rate, best = i + 1;
  }
  if (best > 0) return best;
  Record& record = records_[kind_of(place.equal)];
  record.tried *= forgetting_idle;
  record.right *= forgetting_idle;
  return 0;
}

// The gram that ends the text is left for the next call: it would find itself.
void Drafter::index(std::span<const Token> tokens) {
  if (earlier_.empty()) earlier_.assign(gram, 0);
  for (std::size_t end = earlier_.size(); end < tokens.size(); ++end) {
    std::uint32_t& last = last_[hash_of(tokens.subspan(end - gram, gram))];
    earlier_.push_back(last);
    last = static_cast<std::uint32_t>(end);
  }
}

Drafter::Place Drafter::find(std::span<const Token> tokens) const {
  const Place anywhere = find_anywhere(tokens);
  return anywhere.at != 0 ? anywhere : find_near(tokens);
}

// The place after the longest equal run of tokens; of several, the one that goes on with what was
// copied last.
Drafter::Place Drafter::find_anywhere(std::span<const Token> tokens) const {
  if (tokens.size() < gram) return {};
  Place best{.at = 0, .equal = gram - 1};
  const auto consider = [&](std::size_t place) {
    const std::size_t equal = equal_before(tokens, place, tokens.size());
    if (equal > best.equal) best = {place, equal};
  };
  if (cursor_ != 0 && cursor_ + 1 < tokens.size()) consider(cursor_ + 1);
  const auto found = last_.find(hash_of(tokens.last(gram)));
  std::size_t place = found == last_.end() ? 0 : found->second;
  for (std::size_t i = 0; i < most_candidates && place != 0; ++i, place = earlier_[place])
    consider(place);
  return best.at == 0 ? Place{} : best;
}

// Behind a change the copied text goes on nearby: after the same token or two, or, if there are
// none, after one that was replaced.
Drafter::Place Drafter::find_near(std::span<const Token> tokens) const {
  if (cursor_ == 0) return {};
  Place best;
  const std::size_t first = cursor_ > behind ? cursor_ - behind : 1;
  const std::size_t last = std::min(cursor_ + near, tokens.size() - 1);
  const auto distance = [&](std::size_t place) {
    return place > cursor_ ? place - cursor_ : 2 * (cursor_ - place);
  };
  for (std::size_t place = first; place <= last; ++place) {
    const std::size_t equal = equal_before(tokens, place, tokens.size());
    if (equal > best.equal ||
        (equal == best.equal && equal > 0 && distance(place) < distance(best.at)))
      best = {place, equal};
  }
  if (best.at != 0) return best;
  return replaced_ == tokens.size() && cursor_ + 1 < replaced_ ? Place{cursor_ + 1, 0} : best;
}

}  // namespace hearth
