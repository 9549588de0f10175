#include "runtime/drafter.h"

#include <algorithm>

namespace hearth {
namespace {

constexpr std::size_t gram = 3;             // tokens that must be equal
constexpr std::size_t most_compared = 32;   // tokens by which two places are compared
constexpr std::size_t most_candidates = 8;  // places that are compared
constexpr std::size_t longest_pause = 64;

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

std::span<const Token> Drafter::draft(std::span<const Token> tokens, std::size_t most) {
  index(tokens);
  if (pause_ > 0) {
    --pause_;
    return {};
  }
  const std::size_t place = most > 0 ? find(tokens) : 0;
  if (place == 0) return {};
  return tokens.subspan(place, std::min({most, length_, tokens.size() - place}));
}

void Drafter::report(std::size_t drafted, std::size_t right) {
  if (drafted == 0) return;
  length_ = right == drafted ? std::max(length_, 2 * drafted) : right + 1;
  if (right > 0) {
    next_pause_ = 1;
    return;
  }
  pause_ = next_pause_;
  next_pause_ = std::min(2 * next_pause_, longest_pause);
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

// The place after the longest equal run of tokens; 0: none.
std::size_t Drafter::find(std::span<const Token> tokens) const {
  if (tokens.size() < gram) return 0;
  const auto found = last_.find(hash_of(tokens.last(gram)));
  if (found == last_.end()) return 0;
  std::size_t best = 0, longest = gram - 1;
  std::size_t place = found->second;
  for (std::size_t i = 0; i < most_candidates && place != 0; ++i, place = earlier_[place]) {
    const std::size_t equal = equal_before(tokens, place, tokens.size());
    if (equal > longest) best = place, longest = equal;
  }
  return best;
}

}  // namespace hearth
