#include "text/grammar/machine.h"

#include <algorithm>

namespace hearth::grammar {
namespace {

// Repeats up to this size are written out, so that what they share with others is read once.
constexpr std::size_t max_copied = 96;

}  // namespace

Machine MachineBuilder::build(ExprId body) {
  machine_ = {};
  rests_.clear();
  loop_ = 0;
  machine_.start = machine_.add();
  const StateId end = machine_.add();
  machine_.states[end].accepts = true;
  add(body, machine_.start, end);
  trim(machine_);
  return std::move(machine_);
}

void MachineBuilder::add(ExprId id, StateId from, StateId to) {
  const Expr expr = grammar_[id];
  if (!has_room() || !is_productive(grammar_, facts_, id)) return;
  switch (expr.kind) {
    case Expr::Kind::empty:
      return connect(from, to);
    case Expr::Kind::nothing:
      return;
    case Expr::Kind::literal: {
      const std::string& text = grammar_.literal_of(expr);
      for (std::size_t i = 0; i < text.size(); ++i) {
        const StateId next = i + 1 == text.size() ? to : machine_.add(loop_);
        const auto byte = static_cast<std::uint8_t>(text[i]);
        machine_.states[from].edges.push_back({byte, byte, Action::keep, next});
        from = next;
      }
      return;
    }
    case Expr::Kind::chars:
      return add_chars(grammar_.chars_of(expr), from, to);
    case Expr::Kind::sequence: {
      const std::vector<ExprId> parts = grammar_.parts_of(expr);
      for (std::size_t i = 0; i < parts.size(); ++i) {
        const StateId next = i + 1 == parts.size() ? to : machine_.add(loop_);
        add(parts[i], from, next);
        from = next;
      }
      return;
    }
    case Expr::Kind::choice: {
      const std::vector<ExprId> parts = grammar_.parts_of(expr);
      for (const ExprId part : parts) {
        const StateId begin = machine_.add(loop_);  // a part's own loops must not mix with others
        connect(from, begin);
        add(part, begin, to);
      }
      return;
    }
    case Expr::Kind::repeat:
      return add_repeat(expr, from, to);
    case Expr::Kind::rule:
      machine_.states[from].calls.push_back({expr.item, to, Action::keep, false});
      return;
    case Expr::Kind::token:
      machine_.states[from].tokens.push_back({static_cast<Token>(expr.item), to, Action::keep});
      return;
    case Expr::Kind::graph: {
      const Graph graph = grammar_.graph_of(expr);
      std::vector<StateId> nodes(graph.nodes);
      for (StateId& node : nodes) node = machine_.add(loop_);
      connect(from, nodes[0]);
      for (const Graph::Edge& edge : graph.edges) add(edge.label, nodes[edge.from], nodes[edge.to]);
      for (const std::uint32_t end : graph.ends) connect(nodes[end], to);
      return;
    }
  }
}

void MachineBuilder::add_chars(const CharSet& set, StateId from, StateId to) {
  for (const ByteSequence& sequence : utf8_sequences(set)) {
    StateId next = to;
    std::vector<std::uint32_t> rest = {loop_, to};
    for (int i = sequence.size - 1; i > 0; --i) {
      const auto [low, high] = sequence.bytes[i];
      rest.push_back(static_cast<std::uint32_t>(low << 8 | high));
      const auto [place, is_new] = rests_.try_emplace(rest, 0);
      if (is_new) {
        place->second = machine_.add(loop_);
        machine_.states[place->second].edges.push_back({low, high, Action::keep, next});
      }
      next = place->second;
    }
    machine_.states[from].edges.push_back(
        {sequence.bytes[0].low, sequence.bytes[0].high, Action::keep, next});
  }
}

void MachineBuilder::add_repeat(Expr expr, StateId from, StateId to) {
  if (!is_productive(grammar_, facts_, expr.item)) return connect(from, to);  // min is 0
  if (expr.max == unlimited && expr.min <= 1) {
    const StateId begin = machine_.add(loop_), end = machine_.add(loop_);
    connect(from, begin);
    add(expr.item, begin, end);
    connect(end, begin);
    connect(end, to);
    if (expr.min == 0) connect(begin, to);
    return;
  }
  if (expr.min == 0 && expr.max == 1) {
    const StateId begin = machine_.add(loop_);
    connect(from, begin);
    connect(begin, to);
    return add(expr.item, begin, to);
  }
  if (is_nullable(grammar_, facts_, expr.item)) {
    expr.item = without_empty(grammar_, facts_, expr.item);
    expr.min = 0;
    if (!facts_.is_incomplete) add_repeat(expr, from, to);
    return;
  }
  const std::size_t times = expr.max == unlimited ? expr.min : expr.max;
  if (times <= max_copied && times * copies_size(expr.item, max_copied) <= max_copied)
    return add_copies(expr, from, to);
  if (loop_ == 0) return add_counted(expr, from, to);
  // One count to a rule.
  const ExprId inner = grammar_.repeat(expr.item, expr.min, expr.max);
  const RuleId rule = grammar_.define("repeat", inner);
  facts_.productive.push_back(true);
  facts_.nullable.push_back(expr.min == 0);
  machine_.states[from].calls.push_back({rule, to, Action::keep, false});
}

void MachineBuilder::add_copies(const Expr& expr, StateId from, StateId to) {
  const std::uint32_t last = expr.max == unlimited ? expr.min : expr.max;
  for (std::uint32_t i = 0; i < last; ++i) {
    const StateId next = machine_.add(loop_);
    if (i >= expr.min) connect(from, to);
    add(expr.item, from, next);
    from = next;
  }
  if (expr.max == unlimited) {
    const StateId end = machine_.add(loop_);
    add(expr.item, from, end);
    connect(end, from);
  }
  connect(from, to);
}

void MachineBuilder::add_counted(Expr expr, StateId from, StateId to) {
  machine_.has_loops = true;
  loops_.push_back({expr.min, expr.max});
  loop_ = static_cast<std::uint32_t>(loops_.size() - 1);
  const StateId head = machine_.add(loop_), end = machine_.add(loop_);
  machine_.states[head].is_head = true;
  machine_.states[from].exits.push_back({head, Action::reset});
  // The body's own beginning, so that nothing but the whole body leads back to the head.
  const StateId begin = machine_.add(loop_);
  add(expr.item, begin, end);
  // The head reads what the body begins with: it stands for the body's first state.
  machine_.states[head].exits.push_back({begin, Action::keep});
  machine_.states[end].exits.push_back({head, Action::count});
  machine_.states[head].exits.push_back({to, Action::reset});
  loop_ = 0;
}

// How many states a copy takes, about; stops at `limit`.
std::size_t MachineBuilder::copies_size(ExprId id, std::size_t limit) const {
  const Expr& expr = grammar_[id];
  std::size_t size = 1;
  switch (expr.kind) {
    case Expr::Kind::literal:
      return grammar_.literal_of(expr).size();
    case Expr::Kind::chars:
      return grammar_.chars_of(expr).ranges().back().last < 0x80 ? 1 : 4;
    case Expr::Kind::sequence:
    case Expr::Kind::choice:
      for (const ExprId part : grammar_.parts_of(expr))
        if (size < limit) size += copies_size(part, limit - size);
      return size;
    case Expr::Kind::repeat: {
      const std::size_t times = expr.max == unlimited ? std::max(1u, expr.min) : expr.max;
      return times >= limit ? limit : times * (1 + copies_size(expr.item, limit));
    }
    case Expr::Kind::graph:
      return limit;
    default:
      return size;
  }
}

void trim(Machine& machine) {
  std::vector<std::vector<StateId>> into(machine.states.size());
  for (StateId s = 0; s < machine.states.size(); ++s) {
    const Machine::State& state = machine.states[s];
    for (const auto& edge : state.edges) into[edge.target].push_back(s);
    for (const auto& call : state.calls) into[call.target].push_back(s);
    for (const auto& token : state.tokens) into[token.target].push_back(s);
    for (const auto& exit : state.exits) into[exit.target].push_back(s);
  }
  std::vector<bool> alive(machine.states.size());
  std::vector<StateId> work;
  for (StateId s = 0; s < machine.states.size(); ++s)
    if (machine.states[s].accepts) {
      alive[s] = true;
      work.push_back(s);
    }
  while (!work.empty()) {
    const StateId s = work.back();
    work.pop_back();
    for (const StateId from : into[s])
      if (!alive[from]) {
        alive[from] = true;
        work.push_back(from);
      }
  }
  const auto is_dead = [&](const auto& transition) { return !alive[transition.target]; };
  for (Machine::State& state : machine.states) {
    std::erase_if(state.edges, is_dead);
    std::erase_if(state.calls, is_dead);
    std::erase_if(state.tokens, is_dead);
    std::erase_if(state.exits, is_dead);
  }
}

}  // namespace hearth::grammar
