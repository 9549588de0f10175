// Dfa: deterministic machines over code points, for what several patterns say at once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "text/grammar/pattern.h"

namespace hearth::grammar {

// State 0 is the first.  Edges are sorted and apart; characters without one are not taken.
struct Dfa {
  struct Edge {
    std::uint32_t first, last, target;
  };
  struct State {
    std::vector<Edge> edges;
    bool accepts = false;
  };
  std::vector<State> states;

  bool is_empty() const;
  bool matches(std::string_view text) const;  // of UTF-8
};

// Of an expression without rules and tokens.  Errors: exhausted, past max_pattern_states.
Result<Dfa> make_dfa(const Grammar& grammar, ExprId expr);
// Look-ahead where the text begins is understood: "^(?!a|b$)(?=.{3})[a-z]+$".
Result<Dfa> pattern_dfa(std::string_view pattern, bool is_whole);
bool begins_with_look(std::string_view pattern);       // which only pattern_dfa understands
Dfa dfa_of_texts(std::span<const std::string> texts);  // any of these
Result<Dfa> dfa_of_lengths(std::uint64_t min,
                           std::uint64_t max);  // characters; max may be UINT64_MAX
Result<Dfa> both(const Dfa& a, const Dfa& b);
Result<Dfa> either(const Dfa& a, const Dfa& b);
Dfa negated(const Dfa& dfa);

// Characters of the shortest and the longest text; nothing: there is no text, or no longest.
std::optional<std::uint64_t> shortest(const Dfa& dfa);
std::optional<std::uint64_t> longest(const Dfa& dfa);

ExprId spell(Grammar& grammar, const Dfa& dfa, Spelling spelling);

}  // namespace hearth::grammar
