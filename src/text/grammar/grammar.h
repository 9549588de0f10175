// Grammar: what a text may be, as front ends build it: rules made of expressions.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/grammar/char_set.h"
#include "text/grammar/limits.h"
#include "text/tokenizer.h"

namespace hearth::grammar {

struct ListRules;  // schema/lists.h

using ExprId = std::uint32_t;
using RuleId = std::uint32_t;
constexpr std::uint32_t unlimited = 0xFFFFFFFF;

// Nodes and labelled edges, for what reads badly as a tree.  Node 0 is where it begins.
struct Graph {
  struct Edge {
    std::uint32_t from, to;
    ExprId label;  // Grammar::empty(): nothing is read
  };
  std::uint32_t nodes = 1;
  std::vector<Edge> edges;
  std::vector<std::uint32_t> ends;  // nodes at which it may end

  std::uint32_t add() { return nodes++; }
  void connect(std::uint32_t from, std::uint32_t to, ExprId label) {
    edges.push_back({from, to, label});
  }
};

struct Expr {
  enum class Kind : std::uint8_t {
    empty,
    nothing,
    literal,
    chars,
    sequence,
    choice,
    repeat,
    rule,
    token,
    graph
  } kind;
  std::uint32_t item = 0;  // place in the list of its kind; a repeat's body; a rule; a token
  std::uint32_t min = 0, max = 0;  // of a repeat
};

// Used by one thread.  Every function gives a new expression, or a simpler one that is equal.
class Grammar {
 public:
  Grammar();

  ExprId empty() const { return 0; }
  ExprId nothing() const { return 1; }  // matches no text at all
  ExprId literal(std::string_view bytes);
  ExprId chars(CharSet set);
  ExprId sequence(std::vector<ExprId> parts);
  ExprId choice(std::vector<ExprId> parts);
  ExprId repeat(ExprId body, std::uint32_t min, std::uint32_t max);  // max may be `unlimited`
  ExprId optional(ExprId body) { return repeat(body, 0, 1); }
  ExprId rule(RuleId rule);
  ExprId token(Token token);  // a token that is no text, such as a mark of a chat template
  ExprId graph(Graph graph);

  RuleId declare(std::string name);
  void define(RuleId rule, ExprId body) { rules_[rule].body = body; }
  RuleId define(std::string name, ExprId body);
  void set_root(RuleId rule) { root_ = rule; }
  // What else holds of the lists in the JSON objects and lists that a rule writes.
  using Lists = std::map<RuleId, std::shared_ptr<const ListRules>>;
  void add_lists(RuleId rule, std::shared_ptr<const ListRules> lists) {
    list_rules_[rule] = std::move(lists);
  }
  const Lists& lists() const { return list_rules_; }

  struct Rule {
    std::string name;
    ExprId body;
  };
  const std::vector<Rule>& rules() const { return rules_; }
  RuleId root() const { return root_; }
  const Expr& operator[](ExprId id) const { return exprs_[id]; }
  const std::string& literal_of(const Expr& e) const { return literals_[e.item]; }
  const CharSet& chars_of(const Expr& e) const { return sets_[e.item]; }
  const std::vector<ExprId>& parts_of(const Expr& e) const { return lists_[e.item]; }
  const Graph& graph_of(const Expr& e) const { return graphs_[e.item]; }
  // What has been built, for limits: expressions and edges of graphs.
  std::size_t size() const { return exprs_.size() + edges_; }
  bool is_too_large() const { return size() > max_expressions || rules_.size() > max_rules; }

 private:
  ExprId add(Expr expr);
  std::vector<Expr> exprs_;
  std::vector<std::string> literals_;
  std::vector<CharSet> sets_;
  std::vector<std::vector<ExprId>> lists_;
  std::vector<Graph> graphs_;
  std::vector<Rule> rules_;
  RuleId root_ = 0;
  Lists list_rules_;
  std::size_t edges_ = 0;
};

// Which rules can match at all, and which can match the empty text.
struct Facts {
  std::vector<bool> productive, nullable;  // of rules
  bool is_incomplete = false;              // without_empty() had to give up
};
// Errors: invalid, naming the rule: one that refers to itself before it reads anything, and a root
// that matches no text.  exhausted: too large.
Result<Facts> find_facts(const Grammar& grammar);
bool is_productive(const Grammar& grammar, const Facts& facts, ExprId expr);
bool is_nullable(const Grammar& grammar, const Facts& facts, ExprId expr);
// What `expr` matches but for the empty text.  Adds rules to the grammar, and their facts.
ExprId without_empty(Grammar& grammar, Facts& facts, ExprId expr);

}  // namespace hearth::grammar
