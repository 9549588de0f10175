// What is true of a grammar's rules before they are compiled.
#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "text/grammar/grammar.h"

namespace hearth::grammar {
namespace {

// Grammars from people need one or two; each further one is a rule that hangs on a later one.
constexpr int max_passes = 64;
constexpr std::size_t max_nullable_parts = 256;  // each is written out once more

using Kind = Expr::Kind;
using Accepts = bool (*)(const Grammar&, const Facts&, ExprId);

// Whether the graph's end can be reached over edges whose labels satisfy `holds`.
bool graph_holds(const Grammar& grammar, const Facts& facts, const Graph& graph, Accepts holds) {
  std::vector<std::vector<std::uint32_t>> next(graph.nodes);
  for (std::uint32_t i = 0; i < graph.edges.size(); ++i) next[graph.edges[i].from].push_back(i);
  std::vector<bool> seen(graph.nodes), is_end(graph.nodes);
  for (const std::uint32_t node : graph.ends) is_end[node] = true;
  std::vector<std::uint32_t> work = {0};
  seen[0] = true;
  while (!work.empty()) {
    const std::uint32_t node = work.back();
    work.pop_back();
    if (is_end[node]) return true;
    for (const std::uint32_t i : next[node]) {
      const Graph::Edge& edge = graph.edges[i];
      if (seen[edge.to] || !holds(grammar, facts, edge.label)) continue;
      seen[edge.to] = true;
      work.push_back(edge.to);
    }
  }
  return false;
}

// Rules in an order that puts those referred to first, as far as there is one.
class Order {
 public:
  explicit Order(const Grammar& grammar) : grammar_(grammar), seen_(grammar.rules().size()) {
    visit(grammar.root());
    for (RuleId rule = 0; rule < seen_.size(); ++rule) visit(rule);
  }
  const std::vector<RuleId>& rules() const { return order_; }

 private:
  struct Open {
    RuleId rule;
    std::vector<RuleId> references;
    std::size_t next = 0;
  };
  void visit(RuleId first) {
    if (seen_[first]) return;
    std::vector<Open> open;
    enter(open, first);
    while (!open.empty()) {
      Open& top = open.back();
      if (top.next < top.references.size()) {
        const RuleId rule = top.references[top.next++];
        if (!seen_[rule]) enter(open, rule);
      } else {
        order_.push_back(top.rule);
        open.pop_back();
      }
    }
  }
  void enter(std::vector<Open>& open, RuleId rule) {
    seen_[rule] = true;
    Open item{.rule = rule, .references = {}};
    collect(grammar_.rules()[rule].body, item.references);
    open.push_back(std::move(item));
  }
  void collect(ExprId id, std::vector<RuleId>& references) const {
    const Expr& expr = grammar_[id];
    if (expr.kind == Kind::rule) references.push_back(expr.item);
    if (expr.kind == Kind::repeat) collect(expr.item, references);
    if (expr.kind == Kind::sequence || expr.kind == Kind::choice)
      for (const ExprId part : grammar_.parts_of(expr)) collect(part, references);
    if (expr.kind == Kind::graph)
      for (const Graph::Edge& edge : grammar_.graph_of(expr).edges) collect(edge.label, references);
  }

  const Grammar& grammar_;
  std::vector<bool> seen_;
  std::vector<RuleId> order_;
};

// The rules that `id` may call before it has read anything.
void collect_left(const Grammar& grammar, const Facts& facts, ExprId id,
                  std::vector<RuleId>& rules) {
  const Expr& expr = grammar[id];
  switch (expr.kind) {
    case Kind::rule:
      rules.push_back(expr.item);
      break;
    case Kind::repeat:
      collect_left(grammar, facts, expr.item, rules);
      break;
    case Kind::choice:
      for (const ExprId part : grammar.parts_of(expr)) collect_left(grammar, facts, part, rules);
      break;
    case Kind::sequence:
      for (const ExprId part : grammar.parts_of(expr)) {
        collect_left(grammar, facts, part, rules);
        if (!is_nullable(grammar, facts, part)) break;
      }
      break;
    case Kind::graph: {
      const Graph& graph = grammar.graph_of(expr);
      std::vector<bool> reached(graph.nodes);
      reached[0] = true;
      for (bool again = true; again;) {
        again = false;
        for (const Graph::Edge& edge : graph.edges)
          if (reached[edge.from] && !reached[edge.to] && is_nullable(grammar, facts, edge.label))
            again = reached[edge.to] = true;
      }
      for (const Graph::Edge& edge : graph.edges)
        if (reached[edge.from]) collect_left(grammar, facts, edge.label, rules);
      break;
    }
    default:
      break;
  }
}

Status check_left_recursion(const Grammar& grammar, const Facts& facts) {
  enum : std::uint8_t { fresh, open, done };
  std::vector<std::uint8_t> state(grammar.rules().size(), fresh);
  struct Item {
    RuleId rule;
    std::vector<RuleId> left;
    std::size_t next = 0;
  };
  std::vector<Item> stack;
  const auto enter = [&](RuleId rule) {
    state[rule] = open;
    Item item{.rule = rule, .left = {}};
    collect_left(grammar, facts, grammar.rules()[rule].body, item.left);
    stack.push_back(std::move(item));
  };
  for (RuleId first = 0; first < state.size(); ++first) {
    if (state[first] == fresh) enter(first);
    while (!stack.empty()) {
      Item& top = stack.back();
      if (top.next == top.left.size()) {
        state[top.rule] = done;
        stack.pop_back();
        continue;
      }
      const RuleId next = top.left[top.next++];
      if (state[next] == open)
        return Error(ErrorKind::invalid,
                     fmt::format("rule '{}' refers to itself before it reads anything",
                                 printable(grammar.rules()[next].name)));
      if (state[next] == fresh) enter(next);
    }
  }
  return Done{};
}

// Every rule for which `holds`, until no more are found.
Status saturate(const Grammar& grammar, const Order& order, Facts& facts, std::vector<bool>& known,
                Accepts holds) {
  for (int pass = 0; pass < max_passes; ++pass) {
    bool again = false;
    for (const RuleId rule : order.rules())
      if (!known[rule] && holds(grammar, facts, grammar.rules()[rule].body))
        again = known[rule] = true;
    if (!again) return Done{};
  }
  return Error(ErrorKind::exhausted, "the grammar's rules hang on one another too deeply");
}

}  // namespace

bool is_productive(const Grammar& grammar, const Facts& facts, ExprId id) {
  const Expr& expr = grammar[id];
  const auto holds = [&](ExprId part) { return is_productive(grammar, facts, part); };
  switch (expr.kind) {
    case Kind::nothing:
      return false;
    case Kind::rule:
      return facts.productive[expr.item];
    case Kind::repeat:
      return expr.min == 0 || holds(expr.item);
    case Kind::sequence:
      return std::ranges::all_of(grammar.parts_of(expr), holds);
    case Kind::choice:
      return std::ranges::any_of(grammar.parts_of(expr), holds);
    case Kind::graph:
      return graph_holds(grammar, facts, grammar.graph_of(expr), is_productive);
    default:
      return true;
  }
}

bool is_nullable(const Grammar& grammar, const Facts& facts, ExprId id) {
  const Expr& expr = grammar[id];
  const auto holds = [&](ExprId part) { return is_nullable(grammar, facts, part); };
  switch (expr.kind) {
    case Kind::empty:
      return true;
    case Kind::rule:
      return facts.nullable[expr.item];
    case Kind::repeat:
      return expr.min == 0 || holds(expr.item);
    case Kind::sequence:
      return std::ranges::all_of(grammar.parts_of(expr), holds);
    case Kind::choice:
      return std::ranges::any_of(grammar.parts_of(expr), holds);
    case Kind::graph:
      return graph_holds(grammar, facts, grammar.graph_of(expr), is_nullable);
    default:
      return false;
  }
}

Result<Facts> find_facts(const Grammar& grammar) {
  if (grammar.is_too_large())
    return Error(
        ErrorKind::exhausted,
        fmt::format("the grammar is too large: {} parts and {} rules, of at most {} and {}",
                    grammar.size(), grammar.rules().size(), max_expressions, max_rules));
  Facts facts;
  facts.productive.resize(grammar.rules().size());
  facts.nullable.resize(grammar.rules().size());
  const Order order(grammar);
  TRY(saturate(grammar, order, facts, facts.productive, is_productive));
  TRY(saturate(grammar, order, facts, facts.nullable, is_nullable));
  TRY(check_left_recursion(grammar, facts));
  if (!facts.productive[grammar.root()])
    return Error(ErrorKind::invalid, "the grammar matches no text: nothing could be generated");
  return facts;
}

ExprId without_empty(Grammar& grammar, Facts& facts, ExprId id) {
  if (!is_nullable(grammar, facts, id)) return id;
  const Expr expr = grammar[id];
  switch (expr.kind) {
    case Kind::repeat: {
      // One that reads something, then what is left of the others.
      const ExprId first = without_empty(grammar, facts, expr.item);
      const std::uint32_t rest = expr.max == unlimited ? unlimited : expr.max - 1;
      return grammar.sequence({first, grammar.repeat(first, 0, rest)});
    }
    case Kind::choice: {
      std::vector<ExprId> parts = grammar.parts_of(expr);
      for (ExprId& part : parts) part = without_empty(grammar, facts, part);
      return grammar.choice(std::move(parts));
    }
    case Kind::sequence: {
      const std::vector<ExprId> parts = grammar.parts_of(expr);
      if (parts.size() > max_nullable_parts || grammar.is_too_large()) {
        facts.is_incomplete = true;
        return id;
      }
      std::vector<ExprId> choices;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        std::vector<ExprId> from(parts.begin() + static_cast<std::ptrdiff_t>(i), parts.end());
        from.front() = without_empty(grammar, facts, from.front());
        choices.push_back(grammar.sequence(std::move(from)));
      }
      return grammar.choice(std::move(choices));
    }
    case Kind::rule: {
      // The body's own calls stay as they are: only this use must read something.
      const ExprId body = without_empty(grammar, facts, grammar.rules()[expr.item].body);
      const RuleId rule = grammar.define(grammar.rules()[expr.item].name, body);
      facts.productive.push_back(facts.productive[expr.item]);
      facts.nullable.push_back(false);
      return grammar.rule(rule);
    }
    default:  // a nullable graph: front ends repeat none
      return grammar.nothing();
  }
}

}  // namespace hearth::grammar
