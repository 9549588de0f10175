// The parsed template.  Nodes are owned by the Program in one flat list, so pointers between them
// are plain and taking a Program apart does not recurse.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace hearth::jinja {

struct Signature;  // a filter or test; see callables.h
struct Statement;
using Body = std::vector<Statement*>;

// Where a variable lives: `hops` functions outwards, then which slot.
struct Reference {
  std::uint32_t hops = 0, slot = 0;
};

// What happens to the variables of a scope when it is entered, and which are forgotten after.
// Source: Jinja2 3.1, "Scoping behaviour": a scope reads outer variables, and keeps its own writes.
struct Load {
  enum class From { context, outer, nothing };
  std::uint32_t slot = 0;
  From from = From::nothing;
  int name = 0;     // context: which variable
  Reference outer;  // outer: copied from there
};
struct Scope {
  std::vector<Load> loads;
  std::vector<std::uint32_t> slots;  // all of this scope
};

struct Node {
  virtual ~Node() = default;
  std::uint32_t line = 0;
};

// ---- expressions ----

enum class ExpressionKind : std::uint8_t {
  literal,
  name,
  items,
  dict,
  chain,
  logic,
  negation,
  sign,
  compare,
  concat,
  conditional,
  postfix,
  attribute_target
};

struct Expression : Node {
  explicit Expression(ExpressionKind k) : kind(k) {}
  const ExpressionKind kind;
};

struct Literal final : Expression {
  Literal() : Expression(ExpressionKind::literal) {}
  Value value;
};
struct Name final : Expression {
  Name() : Expression(ExpressionKind::name) {}
  int name = 0;
  enum class Use : std::uint8_t { load, store, parameter } use = Use::load;
  Reference reference;
};
struct ItemsLiteral final : Expression {  // a list or tuple; a tuple of names is a target too
  ItemsLiteral() : Expression(ExpressionKind::items) {}
  bool is_tuple = false;
  std::vector<Expression*> items;
};
struct DictLiteral final : Expression {
  DictLiteral() : Expression(ExpressionKind::dict) {}
  std::vector<std::pair<Expression*, Expression*>> entries;
};
enum class Operator : std::uint8_t {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in
};
struct Operand {
  Operator op;
  Expression* value;
};
struct Chain final : Expression {  // a + b - c, from the left
  Chain() : Expression(ExpressionKind::chain) {}
  Expression* first = nullptr;
  std::vector<Operand> rest;
};
struct Logic final : Expression {  // a and b and c; or
  Logic() : Expression(ExpressionKind::logic) {}
  bool is_or = false;
  std::vector<Expression*> parts;
};
struct Negation final : Expression {
  Negation() : Expression(ExpressionKind::negation) {}
  Expression* value = nullptr;
};
struct Sign final : Expression {
  Sign() : Expression(ExpressionKind::sign) {}
  bool minus = false;
  Expression* value = nullptr;
};
struct Compare final : Expression {  // a < b < c
  Compare() : Expression(ExpressionKind::compare) {}
  Expression* first = nullptr;
  std::vector<Operand> rest;
};
struct Concat final : Expression {
  Concat() : Expression(ExpressionKind::concat) {}
  std::vector<Expression*> parts;
};
struct Conditional final : Expression {
  Conditional() : Expression(ExpressionKind::conditional) {}
  Expression *condition = nullptr, *then = nullptr, *otherwise = nullptr;  // may be null: undefined
};
struct AttributeTarget final : Expression {  // ns.name = ...
  AttributeTarget() : Expression(ExpressionKind::attribute_target) {}
  Name* space = nullptr;
  std::string attribute;
};

struct CallArguments {
  std::vector<Expression*> positional;
  std::vector<std::pair<std::string, Expression*>> named;
  Expression *spread = nullptr, *spread_named = nullptr;  // *a, **b
};
struct Step {
  enum class Kind : std::uint8_t { attribute, item, slice, call, filter, test };
  Kind kind = Kind::attribute;
  bool negated = false;  // is not
  std::uint32_t line = 0;
  std::string name = {};                 // attribute, filter, test
  const Signature* signature = nullptr;  // filter, test; null: unknown
  Expression* item = nullptr;            // item; or the slice's start
  Expression *stop = nullptr, *step = nullptr;
  CallArguments arguments = {};
};
struct Postfix final : Expression {  // base.a[b](c)|d is e
  Postfix() : Expression(ExpressionKind::postfix) {}
  Expression* base = nullptr;  // null in a filter block: the text of the block
  std::vector<Step> steps;
};

// ---- statements ----

enum class StatementKind : std::uint8_t {
  output,
  if_,
  for_,
  set,
  set_block,
  macro,
  call_block,
  filter_block,
  with,
  generation,
  block,
  break_,
  continue_
};

struct Statement : Node {
  explicit Statement(StatementKind k) : kind(k) {}
  const StatementKind kind;
};

// Anything with variables of its own: the template, a macro, the body of a call block, ...
struct Function {
  std::uint32_t slots = 0;
  bool keeps_frame = false;  // functions are defined inside that may outlive the call
  Scope scope;
  std::vector<Name*> parameters;
  std::vector<Expression*> defaults;  // of the last parameters
  bool takes_caller = false, takes_named = false, takes_rest = false;
  bool names_caller = false;  // "caller" is a parameter
  std::uint32_t caller_slot = 0, named_slot = 0, rest_slot = 0;
  Body body;
};

struct Output final : Statement {
  Output() : Statement(StatementKind::output) {}
  std::vector<Expression*> parts;
};
struct If final : Statement {
  If() : Statement(StatementKind::if_) {}
  std::vector<std::pair<Expression*, Body>> branches;
  Body otherwise;
};
struct For final : Statement {
  For() : Statement(StatementKind::for_) {}
  Expression *target = nullptr, *items = nullptr;
  Expression *test_target = nullptr, *test = nullptr;  // the target again, in the test's scope
  bool recursive = false;
  bool uses_loop = false;
  std::uint32_t loop_slot = 0;
  Scope scope, test_scope, else_scope;
  Body body, otherwise;
  Function function;  // recursive: the loop as a function
};
struct Set final : Statement {
  Set() : Statement(StatementKind::set) {}
  Expression *target = nullptr, *value = nullptr;
};
struct SetBlock final : Statement {
  SetBlock() : Statement(StatementKind::set_block) {}
  Expression* target = nullptr;
  Postfix* filter = nullptr;
  Scope scope;
  Body body;
};
struct MacroStatement final : Statement {
  MacroStatement() : Statement(StatementKind::macro) {}
  Name* target = nullptr;
  std::string name;
  Function function;
};
struct CallBlock final : Statement {
  CallBlock() : Statement(StatementKind::call_block) {}
  Postfix* call = nullptr;  // its last step is a call, which gets the body as "caller"
  Function function;
};
struct FilterBlock final : Statement {
  FilterBlock() : Statement(StatementKind::filter_block) {}
  Postfix* filter = nullptr;
  Scope scope;
  Body body;
};
struct With final : Statement {
  With() : Statement(StatementKind::with) {}
  std::vector<std::pair<Expression*, Expression*>> values;  // target, value
  Scope scope;
  Body body;
};
struct GenerationBlock final : Statement {
  GenerationBlock() : Statement(StatementKind::generation) {}
  Function function;
};
struct BlockStatement final : Statement {
  BlockStatement() : Statement(StatementKind::block) {}
  std::string name;
  Function function;
};
struct Break final : Statement {
  Break() : Statement(StatementKind::break_) {}
};
struct Continue final : Statement {
  Continue() : Statement(StatementKind::continue_) {}
};

// Immutable once parsed: any number of threads may render it at a time.
struct Program {
  std::vector<std::unique_ptr<Str>> constants;  // outlive the nodes that name them
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<std::string> names;
  // Variables that blocks see besides the context: name id, slot of the template's own frame.
  std::vector<std::pair<int, std::uint32_t>> exported;
  Function function;

  int name_id(std::string_view name) const;  // -1: nowhere in the template
  template <typename T>
  T* add(std::uint32_t line) {
    auto node = std::make_unique<T>();
    node->line = line;
    T* raw = node.get();
    nodes.push_back(std::move(node));
    return raw;
  }
  Value constant(std::string text);
};

}  // namespace hearth::jinja
