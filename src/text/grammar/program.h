// Program: a compiled grammar.  States that read bytes, calls of rules, and counters.
//
// Each rule is a machine of its own.  Where a rule calls another, the state to go on from is put on
// a stack, but for a call that is the last thing a rule does.  A state within a counted repeat goes
// with a count of the times that are done.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "text/grammar/grammar.h"

namespace hearth::grammar {

using StateId = std::uint32_t;

// What a transition does to the count: leaves it, adds one, or sets it to 0.
enum class Action : std::uint8_t { keep, count, reset };

struct Program {
  struct Edge {  // reads one byte
    std::uint8_t low, high;
    Action action;
    StateId target;
  };
  struct Call {
    RuleId rule;
    StateId target;  // where to go on after the rule
    Action action;
    bool is_tail;  // nothing is left to do there
  };
  struct TokenEdge {
    Token token;
    StateId target;
    Action action;
  };
  struct Exit {  // reads nothing
    StateId target;
    Action action;
  };
  struct State {
    std::uint32_t edges = 0, calls = 0, tokens = 0, exits = 0;  // first of each; end: the next's
    std::uint32_t loop = 0;                                     // which counted repeat; 0: none
    bool accepts = false;                                       // the rule may end here
    bool is_head = false;  // where a counted repeat begins once more, and may be left
  };
  struct Loop {
    std::uint32_t min = 0, max = unlimited;
  };

  std::vector<State> states;  // and one more, which closes the lists
  std::vector<Edge> edges;
  std::vector<Call> calls;
  std::vector<TokenEdge> tokens;
  std::vector<Exit> exits;
  std::vector<StateId> starts;  // of rules
  std::vector<Loop> loops = {{}};
  RuleId root = 0;
  // As Grammar::lists, by the states that such a value begins at.
  std::map<StateId, std::shared_ptr<const ListRules>> lists;
  std::array<std::uint8_t, 256> classes = {};  // bytes that no state tells apart
  std::uint32_t class_count = 1;

  std::span<const Edge> edges_of(StateId s) const {
    return std::span(edges).subspan(states[s].edges, states[s + 1].edges - states[s].edges);
  }
  std::span<const Call> calls_of(StateId s) const {
    return std::span(calls).subspan(states[s].calls, states[s + 1].calls - states[s].calls);
  }
  std::span<const TokenEdge> tokens_of(StateId s) const {
    return std::span(tokens).subspan(states[s].tokens, states[s + 1].tokens - states[s].tokens);
  }
  std::span<const Exit> exits_of(StateId s) const {
    return std::span(exits).subspan(states[s].exits, states[s + 1].exits - states[s].exits);
  }
  bool reads(StateId s) const { return !edges_of(s).empty() || !tokens_of(s).empty(); }
  std::size_t bytes() const;  // of memory
};

// Characters that stand for themselves in a JSON string: most text is made of them.
const CharSet& plain_characters();

// Errors: those of find_facts; exhausted, for what would be too large.
Result<std::shared_ptr<const Program>> compile(Grammar grammar);

}  // namespace hearth::grammar
