#include "text/grammar/dfa.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "base/utf8.h"

namespace hearth::grammar {
namespace {

constexpr std::size_t max_parts = 1u << 16;  // of the machine before it is made deterministic

Error too_large() {
  return Error(ErrorKind::exhausted,
               fmt::format("needs a machine of over {} states", max_pattern_states));
}

// A machine that may be in several states at once.
class Nfa {
 public:
  explicit Nfa(const Grammar& grammar) : grammar_(grammar) {}

  Result<Dfa> run(ExprId expr) {
    const std::uint32_t begin = add_state(), end = add_state();
    TRY(add(expr, begin, end));
    Dfa dfa;
    TRY(state_of(dfa, {begin}, end));
    for (std::size_t i = 0; i < members_.size(); ++i) TRY(expand(dfa, i, end));
    return dfa;
  }

 private:
  struct State {
    std::vector<Dfa::Edge> edges;
    std::vector<std::uint32_t> free;  // reached without reading
  };
  using Members = std::vector<std::uint32_t>;

  std::uint32_t add_state() {
    states_.emplace_back();
    return static_cast<std::uint32_t>(states_.size() - 1);
  }

  Status add(ExprId id, std::uint32_t from, std::uint32_t to) {
    if (states_.size() > max_parts) return too_large();
    const Expr& expr = grammar_[id];
    switch (expr.kind) {
      case Expr::Kind::empty:
        states_[from].free.push_back(to);
        return Done{};
      case Expr::Kind::literal: {
        std::string_view text = grammar_.literal_of(expr);
        while (!text.empty()) {
          const Decoded next = decode_utf8(text);
          text.remove_prefix(next.size);
          const std::uint32_t target = text.empty() ? to : add_state();
          states_[from].edges.push_back({next.point, next.point, target});
          from = target;
        }
        return Done{};
      }
      case Expr::Kind::chars:
        for (const CharSet::Range& range : grammar_.chars_of(expr).ranges())
          states_[from].edges.push_back({range.first, range.last, to});
        return Done{};
      case Expr::Kind::sequence: {
        const std::vector<ExprId>& parts = grammar_.parts_of(expr);
        for (std::size_t i = 0; i < parts.size(); ++i) {
          const std::uint32_t next = i + 1 == parts.size() ? to : add_state();
          TRY(add(parts[i], from, next));
          from = next;
        }
        return Done{};
      }
      case Expr::Kind::choice:
        for (const ExprId part : grammar_.parts_of(expr)) {
          const std::uint32_t begin = add_state();
          states_[from].free.push_back(begin);
          TRY(add(part, begin, to));
        }
        return Done{};
      case Expr::Kind::repeat:
        return add_repeat(expr, from, to);
      case Expr::Kind::graph: {
        const Graph& graph = grammar_.graph_of(expr);
        Members nodes(graph.nodes);
        for (std::uint32_t& node : nodes) node = add_state();
        states_[from].free.push_back(nodes[0]);
        for (const Graph::Edge& edge : graph.edges)
          TRY(add(edge.label, nodes[edge.from], nodes[edge.to]));
        for (const std::uint32_t end : graph.ends) states_[nodes[end]].free.push_back(to);
        return Done{};
      }
      default:
        return Done{};  // nothing
    }
  }

  Status add_repeat(const Expr& expr, std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t i = 0; i < expr.min; ++i) {
      const std::uint32_t next = add_state();
      TRY(add(expr.item, from, next));
      from = next;
    }
    if (expr.max == unlimited) {
      const std::uint32_t begin = add_state(), end = add_state();
      states_[from].free.push_back(begin);
      TRY(add(expr.item, begin, end));
      states_[end].free.push_back(begin);
      states_[begin].free.push_back(to);
      return Done{};
    }
    for (std::uint32_t i = expr.min; i < expr.max; ++i) {
      const std::uint32_t begin = add_state(), next = add_state();
      states_[from].free.push_back(begin);
      states_[begin].free.push_back(to);
      TRY(add(expr.item, begin, next));
      from = next;
    }
    states_[from].free.push_back(to);
    return Done{};
  }

  Result<std::uint32_t> state_of(Dfa& dfa, Members from, std::uint32_t end) {
    marks_.resize(states_.size());
    ++mark_;
    Members kept;
    bool accepts = false;
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (marks_[from[i]] == mark_) continue;
      marks_[from[i]] = mark_;
      accepts = accepts || from[i] == end;
      if (!states_[from[i]].edges.empty()) kept.push_back(from[i]);
      for (const std::uint32_t next : states_[from[i]].free) from.push_back(next);
    }
    std::ranges::sort(kept);
    if (accepts) kept.push_back(end);
    const auto [place, is_new] = ids_.try_emplace(std::move(kept), 0);
    if (is_new) {
      if (dfa.states.size() >= max_pattern_states) return too_large();
      place->second = static_cast<std::uint32_t>(dfa.states.size());
      dfa.states.emplace_back().accepts = accepts;
      members_.push_back(&place->first);
    }
    return place->second;
  }

  Status expand(Dfa& dfa, std::size_t state, std::uint32_t end) {
    // Each edge opens at its first character and closes after its last.
    std::vector<std::pair<std::uint32_t, std::int64_t>> borders;  // target + 1; negative: closes
    for (const std::uint32_t member : *members_[state])
      for (const Dfa::Edge& edge : states_[member].edges) {
        borders.emplace_back(edge.first, std::int64_t{edge.target} + 1);
        borders.emplace_back(edge.last + 1, -std::int64_t{edge.target} - 1);
      }
    std::ranges::sort(borders);
    std::map<std::uint32_t, int> open;
    for (std::size_t i = 0; i < borders.size();) {
      const std::uint32_t first = borders[i].first;
      for (; i < borders.size() && borders[i].first == first; ++i) {
        const std::int64_t change = borders[i].second;
        const auto target = static_cast<std::uint32_t>(std::abs(change) - 1);
        if ((open[target] += change > 0 ? 1 : -1) == 0) open.erase(target);
      }
      if (open.empty()) continue;
      Members targets;
      for (const auto& [target, count] : open) targets.push_back(target);
      const std::uint32_t target = TRY(state_of(dfa, std::move(targets), end));
      dfa.states[state].edges.push_back({first, borders[i].first - 1, target});
    }
    return Done{};
  }

  const Grammar& grammar_;
  std::vector<State> states_;
  std::vector<std::uint32_t> marks_;
  std::uint32_t mark_ = 0;
  std::map<Members, std::uint32_t> ids_;
  std::vector<const Members*> members_;
};

// States from which no text is accepted go.
Dfa trimmed(const Dfa& dfa) {
  std::vector<std::vector<std::uint32_t>> into(dfa.states.size());
  std::vector<bool> alive(dfa.states.size());
  std::vector<std::uint32_t> work;
  for (std::uint32_t s = 0; s < dfa.states.size(); ++s) {
    for (const Dfa::Edge& edge : dfa.states[s].edges) into[edge.target].push_back(s);
    if (dfa.states[s].accepts) alive[s] = true, work.push_back(s);
  }
  while (!work.empty()) {
    const std::uint32_t s = work.back();
    work.pop_back();
    for (const std::uint32_t from : into[s])
      if (!alive[from]) alive[from] = true, work.push_back(from);
  }
  Dfa result;
  std::vector<std::uint32_t> places(dfa.states.size());
  for (std::uint32_t s = 0; s < dfa.states.size(); ++s) {
    if (s > 0 && !alive[s]) continue;
    places[s] = static_cast<std::uint32_t>(result.states.size());
    result.states.push_back(dfa.states[s]);
  }
  for (Dfa::State& state : result.states) {
    std::erase_if(state.edges, [&](const Dfa::Edge& edge) { return !alive[edge.target]; });
    for (Dfa::Edge& edge : state.edges) edge.target = places[edge.target];
  }
  return result;
}

// Every character leads somewhere.
Dfa completed(Dfa dfa) {
  const auto sink = static_cast<std::uint32_t>(dfa.states.size());
  dfa.states.emplace_back();
  for (Dfa::State& state : dfa.states) {
    std::vector<Dfa::Edge> all;
    std::uint32_t next = 0;
    for (const Dfa::Edge& edge : state.edges) {
      if (edge.first > next) all.push_back({next, edge.first - 1, sink});
      all.push_back(edge);
      next = edge.last + 1;
    }
    if (next <= last_point) all.push_back({next, last_point, sink});
    state.edges = std::move(all);
  }
  return dfa;
}

// Past the character, the escape or the class of characters that begins at `i`.
std::size_t past_one(std::string_view pattern, std::size_t i) {
  if (pattern[i] == '\\') return std::min(i + 2, pattern.size());
  if (pattern[i] != '[') return i + 1;
  for (++i; i < pattern.size() && pattern[i] != ']'; ++i)
    if (pattern[i] == '\\') ++i;
  return std::min(i + 1, pattern.size());
}

// Past the group that begins at `i`; npos: it does not end.
std::size_t end_of_group(std::string_view pattern, std::size_t i) {
  int depth = 0;
  while (i < pattern.size()) {
    if (pattern[i] == '(') ++depth;
    if (pattern[i] == ')' && --depth == 0) return i + 1;
    i = past_one(pattern, i);
  }
  return pattern.npos;
}

// Alternatives that are in no group.
bool has_choice(std::string_view pattern) {
  for (std::size_t i = 0; i < pattern.size();) {
    if (pattern[i] == '|') return true;
    i = pattern[i] == '(' ? end_of_group(pattern, i) : past_one(pattern, i);
  }
  return false;
}

}  // namespace

bool Dfa::is_empty() const {
  return std::ranges::none_of(states, &State::accepts);  // all states can be reached
}

bool Dfa::matches(std::string_view text) const {
  std::uint32_t at = 0;
  while (!text.empty()) {
    const Decoded next = decode_utf8(text);
    text.remove_prefix(next.size);
    const auto edge = std::ranges::lower_bound(states[at].edges, next.point, {}, &Edge::last);
    if (edge == states[at].edges.end() || edge->first > next.point) return false;
    at = edge->target;
  }
  return states[at].accepts;
}

Result<Dfa> make_dfa(const Grammar& grammar, ExprId expr) {
  return trimmed(TRY(Nfa(grammar).run(expr)));
}

bool begins_with_look(std::string_view pattern) {
  return pattern.starts_with("^(?!") || pattern.starts_with("^(?=");
}

Result<Dfa> pattern_dfa(std::string_view pattern, bool is_whole) {
  if (begins_with_look(pattern)) {
    const std::size_t end = end_of_group(pattern, 1);
    if (end != pattern.npos && !has_choice(pattern)) {
      const std::string look = fmt::format("^(?:{})", pattern.substr(4, end - 5));
      const Dfa ahead = TRY(pattern_dfa(look, false));
      const Dfa rest = TRY(pattern_dfa("^" + std::string(pattern.substr(end)), is_whole));
      return both(rest, pattern[3] == '!' ? negated(ahead) : ahead);
    }
  }
  Grammar grammar;
  const ExprId expr = TRY(parse_pattern(grammar, pattern, {.is_whole = is_whole}));
  return make_dfa(grammar, expr);
}

Dfa dfa_of_texts(std::span<const std::string> texts) {
  Dfa dfa;
  dfa.states.emplace_back();
  for (std::string_view text : texts) {
    std::uint32_t at = 0;
    while (!text.empty()) {
      const Decoded next = decode_utf8(text);
      text.remove_prefix(next.size);
      auto& edges = dfa.states[at].edges;
      auto edge = std::ranges::lower_bound(edges, next.point, {}, &Dfa::Edge::last);
      if (edge != edges.end() && edge->first == next.point) {
        at = edge->target;
        continue;
      }
      const auto target = static_cast<std::uint32_t>(dfa.states.size());
      edges.insert(edge, {next.point, next.point, target});
      dfa.states.emplace_back();
      at = target;
    }
    dfa.states[at].accepts = true;
  }
  return dfa;
}

Result<Dfa> dfa_of_lengths(std::uint64_t min, std::uint64_t max) {
  const bool has_max = max != UINT64_MAX;
  if ((has_max ? max : min) >= max_pattern_states) return too_large();
  const auto last = static_cast<std::uint32_t>(has_max ? max : min);
  Dfa dfa;
  dfa.states.resize(std::size_t{last} + 1);
  for (std::uint32_t i = 0; i <= last; ++i) {
    dfa.states[i].accepts = i >= min;
    if (i < last || !has_max) dfa.states[i].edges = {{0, last_point, std::min(i + 1, last)}};
  }
  return dfa;
}

Result<Dfa> both(const Dfa& a, const Dfa& b) {
  Dfa dfa;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> ids = {{{0, 0}, 0}};
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs = {{0, 0}};
  dfa.states.emplace_back();
  for (std::size_t s = 0; s < pairs.size(); ++s) {
    const auto [first, second] = pairs[s];
    dfa.states[s].accepts = a.states[first].accepts && b.states[second].accepts;
    auto x = a.states[first].edges.begin();
    auto y = b.states[second].edges.begin();
    while (x != a.states[first].edges.end() && y != b.states[second].edges.end()) {
      const std::uint32_t begin = std::max(x->first, y->first), end = std::min(x->last, y->last);
      if (begin <= end) {
        const auto [place, is_new] =
            ids.try_emplace({x->target, y->target}, static_cast<std::uint32_t>(pairs.size()));
        if (is_new) {
          // What is dropped afterwards counts here too.
          if (pairs.size() >= 4 * max_pattern_states) return too_large();
          pairs.emplace_back(x->target, y->target);
          dfa.states.emplace_back();
        }
        dfa.states[s].edges.push_back({begin, end, place->second});
      }
      x->last < y->last ? ++x : ++y;
    }
  }
  return trimmed(dfa);
}

Dfa negated(const Dfa& dfa) {
  Dfa result = completed(dfa);
  for (Dfa::State& state : result.states) state.accepts = !state.accepts;
  return trimmed(result);
}

Result<Dfa> either(const Dfa& a, const Dfa& b) {
  return negated(TRY(both(negated(a), negated(b))));
}

std::optional<std::uint64_t> shortest(const Dfa& dfa) {
  std::vector<std::uint64_t> steps(dfa.states.size(), UINT64_MAX);
  std::vector<std::uint32_t> work = {0};
  steps[0] = 0;
  for (std::size_t i = 0; i < work.size(); ++i) {
    if (dfa.states[work[i]].accepts) return steps[work[i]];
    for (const Dfa::Edge& edge : dfa.states[work[i]].edges)
      if (steps[edge.target] == UINT64_MAX) {
        steps[edge.target] = steps[work[i]] + 1;
        work.push_back(edge.target);
      }
  }
  return std::nullopt;
}

// A machine without dead states has a longest text when it has no cycle.
std::optional<std::uint64_t> longest(const Dfa& dfa) {
  std::vector<std::uint32_t> waiting(dfa.states.size());
  for (const Dfa::State& state : dfa.states)
    for (const Dfa::Edge& edge : state.edges) ++waiting[edge.target];
  std::vector<std::uint64_t> steps(dfa.states.size());
  std::vector<std::uint32_t> work;
  std::uint64_t result = 0;
  if (waiting[0] == 0) work.push_back(0);
  std::size_t done = 0;
  for (; done < work.size(); ++done) {
    const std::uint32_t s = work[done];
    if (dfa.states[s].accepts) result = std::max(result, steps[s]);
    for (const Dfa::Edge& edge : dfa.states[s].edges) {
      steps[edge.target] = std::max(steps[edge.target], steps[s] + 1);
      if (--waiting[edge.target] == 0) work.push_back(edge.target);
    }
  }
  if (done < dfa.states.size()) return std::nullopt;
  return result;
}

ExprId spell(Grammar& grammar, const Dfa& dfa, Spelling spelling) {
  Graph graph;
  graph.nodes = static_cast<std::uint32_t>(dfa.states.size());
  std::map<std::vector<std::uint32_t>, ExprId> labels;  // sets are few, states many
  for (std::uint32_t s = 0; s < dfa.states.size(); ++s) {
    std::map<std::uint32_t, CharSet> sets;
    for (const Dfa::Edge& edge : dfa.states[s].edges) sets[edge.target].add(edge.first, edge.last);
    for (auto& [target, set] : sets) {
      std::vector<std::uint32_t> key;
      for (const CharSet::Range& range : set.ranges()) {
        key.push_back(range.first);
        key.push_back(range.last);
      }
      const auto [place, is_new] = labels.try_emplace(std::move(key), 0);
      if (is_new) place->second = spell(grammar, set, spelling);
      graph.connect(s, target, place->second);
    }
    if (dfa.states[s].accepts) graph.ends.push_back(s);
  }
  return grammar.graph(std::move(graph));
}

}  // namespace hearth::grammar
