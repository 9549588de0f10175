// Machine: the states of one rule while it is compiled.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "text/grammar/program.h"

namespace hearth::grammar {

struct Machine {
  struct State {
    std::vector<Program::Edge> edges;
    std::vector<Program::Call> calls;
    std::vector<Program::TokenEdge> tokens;
    std::vector<Program::Exit> exits;
    std::uint32_t loop = 0;
    bool accepts = false, is_head = false;
  };
  std::vector<State> states;
  StateId start = 0;
  bool has_loops = false;

  StateId add(std::uint32_t loop = 0) {
    states.emplace_back().loop = loop;
    return static_cast<StateId>(states.size() - 1);
  }
};

// Builds machines of expressions.  Counted repeats within counted repeats become rules of their
// own, and are added to the grammar.
class MachineBuilder {
 public:
  MachineBuilder(Grammar& grammar, Facts& facts, std::vector<Program::Loop>& loops)
      : grammar_(grammar), facts_(facts), loops_(loops) {}
  Machine build(ExprId body);

 private:
  void add(ExprId id, StateId from, StateId to);
  void add_chars(const CharSet& set, StateId from, StateId to);
  void add_repeat(Expr expr, StateId from, StateId to);
  void add_counted(Expr expr, StateId from, StateId to);
  void add_copies(const Expr& expr, StateId from, StateId to);
  std::size_t copies_size(ExprId id, std::size_t limit) const;
  bool has_room() const { return machine_.states.size() < max_states; }
  void connect(StateId from, StateId to) {
    machine_.states[from].exits.push_back({to, Action::keep});
  }

  Grammar& grammar_;
  Facts& facts_;
  std::vector<Program::Loop>& loops_;
  Machine machine_;
  // What is left of a character to be read before a state, by that state and the bytes: shared.
  std::map<std::vector<std::uint32_t>, StateId> rests_;
  std::uint32_t loop_ = 0;  // that is being built
};

// Drops what cannot reach an end.
void trim(Machine& machine);
// An equal machine in which no text leads to two states, when it is not much larger; it has no
// exits.  Machines that count stay as they are.
Machine determinise(Machine machine);

}  // namespace hearth::grammar
