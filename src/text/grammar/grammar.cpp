#include "text/grammar/grammar.h"

namespace hearth::grammar {

Grammar::Grammar() : exprs_{{Expr::Kind::empty}, {Expr::Kind::nothing}} {}

ExprId Grammar::add(Expr expr) {
  exprs_.push_back(expr);
  return static_cast<ExprId>(exprs_.size() - 1);
}

ExprId Grammar::literal(std::string_view bytes) {
  if (bytes.empty()) return empty();
  literals_.emplace_back(bytes);
  edges_ += bytes.size();
  return add({Expr::Kind::literal, static_cast<std::uint32_t>(literals_.size() - 1)});
}

ExprId Grammar::chars(CharSet set) {
  if (set.empty()) return nothing();
  edges_ += set.ranges().size();
  sets_.push_back(std::move(set));
  return add({Expr::Kind::chars, static_cast<std::uint32_t>(sets_.size() - 1)});
}

ExprId Grammar::sequence(std::vector<ExprId> parts) {
  std::erase(parts, empty());
  for (const ExprId part : parts)
    if (part == nothing()) return nothing();
  if (parts.empty()) return empty();
  if (parts.size() == 1) return parts.front();
  edges_ += parts.size();
  lists_.push_back(std::move(parts));
  return add({Expr::Kind::sequence, static_cast<std::uint32_t>(lists_.size() - 1)});
}

ExprId Grammar::choice(std::vector<ExprId> parts) {
  std::erase(parts, nothing());
  if (parts.empty()) return nothing();
  if (parts.size() == 1) return parts.front();
  edges_ += parts.size();
  lists_.push_back(std::move(parts));
  return add({Expr::Kind::choice, static_cast<std::uint32_t>(lists_.size() - 1)});
}

ExprId Grammar::repeat(ExprId body, std::uint32_t min, std::uint32_t max) {
  if (max == 0 || body == empty()) return empty();
  if (body == nothing()) return min == 0 ? empty() : nothing();
  if (min == 1 && max == 1) return body;
  const Expr inner = exprs_[body];
  // (x*){m,n} is x*; (x+){m,n} is x{m,}, with m at least 1 unless it may be absent.
  if (inner.kind == Expr::Kind::repeat && inner.max == unlimited && inner.min <= 1) {
    if (inner.min == 0) return body;
    return repeat(inner.item, min, unlimited);
  }
  return add({Expr::Kind::repeat, body, min, max});
}

ExprId Grammar::rule(RuleId rule) { return add({Expr::Kind::rule, rule}); }

ExprId Grammar::token(Token token) {
  return add({Expr::Kind::token, static_cast<std::uint32_t>(token)});
}

ExprId Grammar::graph(Graph graph) {
  edges_ += graph.edges.size() + graph.nodes;
  graphs_.push_back(std::move(graph));
  return add({Expr::Kind::graph, static_cast<std::uint32_t>(graphs_.size() - 1)});
}

RuleId Grammar::declare(std::string name) {
  rules_.push_back({std::move(name), nothing()});
  return static_cast<RuleId>(rules_.size() - 1);
}

RuleId Grammar::define(std::string name, ExprId body) {
  const RuleId id = declare(std::move(name));
  define(id, body);
  return id;
}

}  // namespace hearth::grammar
