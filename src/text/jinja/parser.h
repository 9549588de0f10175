// Tokens to a Program.  Recursive descent of bounded depth, in the grammar of Jinja2 3.1 with the
// extensions loopcontrols and generation; include, import and extends are refused.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace hearth::jinja {

constexpr std::size_t max_names = 4096;  // different variables in one template

// Errors: invalid, "line 3: ...".  `depth` bounds the nesting of blocks and expressions.
Result<std::unique_ptr<Program>> parse(std::string_view source, int depth);

// The work of parse(): parser.cpp has statements, parse_expression.cpp expressions.
class Parser {
 public:
  Parser(Program& program, std::vector<Token> tokens, int max_depth)
      : program_(program), tokens_(std::move(tokens)), max_depth_(max_depth) {}
  Result<Body> run();

 private:
  using Ends = std::initializer_list<std::string_view>;
  struct TupleRules {
    bool simple = false;             // names and literals only: a target
    bool conditional = true;         // a if b else c
    std::string_view end_name = {};  // this name ends it too
    bool in_parentheses = false;
    bool attributes = false;  // ns.name is a target
  };
  class Nest;

  const Token& now() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  Token take();
  bool skip_name(std::string_view name);
  bool skip_op(std::string_view op);
  Status expect_op(std::string_view op);
  Status expect_name(std::string_view name);
  Result<Token> expect(TokenType type, std::string_view what);
  Error fail(std::string message) const;
  Error fail_at(std::uint32_t line, std::string message) const;
  Result<int> name_id(std::string_view name);

  Result<Body> parse_until(Ends ends);  // stops before the end tag's name
  Result<Body> parse_body(Ends ends);   // the rest of the tag first
  Status parse_data_or_variable(std::vector<Expression*>& parts);
  Result<Statement*> parse_statement();
  Result<Statement*> parse_for();
  Result<Statement*> parse_if();
  Result<Statement*> parse_set();
  Result<Statement*> parse_with();
  Result<Statement*> parse_macro();
  Result<Statement*> parse_call_block();
  Result<Statement*> parse_filter_block();
  Result<Statement*> parse_generation();
  Result<Statement*> parse_block();
  Result<Statement*> parse_print();
  Status parse_signature(Function& function);

  Result<Expression*> parse_target(TupleRules rules);
  Result<Name*> parse_target_name(Name::Use use);
  Status mark_target(Expression* target, Name::Use use);
  Result<Expression*> parse_tuple(TupleRules rules);
  Result<Expression*> parse_expression(bool conditional = true);
  // A level of precedence: what the level above it joins.
  using Level = Result<Expression*> (Parser::*)();
  using OperatorText = std::pair<std::string_view, Operator>;
  Result<Expression*> parse_logic(std::string_view word, Level next);
  Result<Expression*> parse_chain(std::span<const OperatorText> operators, Level next);
  Result<Expression*> parse_or();
  Result<Expression*> parse_and();
  Result<Expression*> parse_not();
  Result<Expression*> parse_compare();
  Result<Expression*> parse_sum();
  Result<Expression*> parse_concat();
  Result<Expression*> parse_product();
  Result<Expression*> parse_power();
  Result<Expression*> parse_unary(bool with_filters = true);
  Result<Expression*> parse_primary(bool attributes);
  Result<Expression*> parse_name(bool attributes);
  Result<Expression*> parse_literal();
  Result<Expression*> parse_list();
  Result<Expression*> parse_dict();
  Result<Expression*> parse_postfix(Expression* base);
  Result<Expression*> parse_filters_and_tests(Expression* base);
  Status parse_subscript(Postfix& postfix);
  Result<Step> parse_slice_or_item();
  Status parse_filter(Postfix& postfix);
  Status parse_test(Postfix& postfix);
  Result<CallArguments> parse_arguments();
  Status parse_argument(CallArguments& arguments);
  Result<std::string> parse_dotted_name();
  Postfix* postfix_of(Expression* base);

  Program& program_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
  const int max_depth_;
  std::unordered_map<std::string, int> ids_;
};

// Counts one level of nesting while it lives.
class Parser::Nest {
 public:
  explicit Nest(Parser& parser) : parser_(parser) { ++parser_.depth_; }
  ~Nest() { --parser_.depth_; }
  Nest(const Nest&) = delete;
  Nest& operator=(const Nest&) = delete;
  Status check() const;

 private:
  Parser& parser_;
};

}  // namespace hearth::jinja
