#include "text/jinja/parser.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "text/jinja/callables.h"
#include "text/jinja/scope.h"

namespace hearth::jinja {

int Program::name_id(std::string_view name) const {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

Value Program::constant(std::string text) {
  auto made = std::make_unique<Str>();
  made->text = Marked(std::move(text), true);
  made->constant = true;
  made->count_points();
  constants.push_back(std::move(made));
  return Value::of(Kind::string, constants.back().get());
}

Result<std::unique_ptr<Program>> parse(std::string_view source, int depth) {
  if (!is_utf8(source)) return Error(ErrorKind::invalid, "not UTF-8");
  auto program = std::make_unique<Program>();
  const std::string text = normalise_newlines(source);
  Parser parser(*program, TRY(tokenize(text)), depth);
  program->function.body = TRY(parser.run());
  TRY(resolve_names(*program));
  return program;
}

Status Parser::Nest::check() const {
  if (parser_.depth_ > parser_.max_depth_)
    return parser_.fail(fmt::format("nested deeper than {} levels", parser_.max_depth_));
  return Done{};
}

Token Parser::take() {
  const Token token = now();
  if (token.type != TokenType::end) ++at_;
  return token;
}

bool Parser::skip_name(std::string_view name) {
  if (!now().is_name(name)) return false;
  take();
  return true;
}

bool Parser::skip_op(std::string_view op) {
  if (!now().is_op(op)) return false;
  take();
  return true;
}

Error Parser::fail(std::string message) const { return fail_at(now().line, std::move(message)); }

Error Parser::fail_at(std::uint32_t line, std::string message) const {
  return Error(ErrorKind::invalid, fmt::format("line {}: {}", line, message));
}

Status Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) return fail(fmt::format("expected '{}', got '{}'", op, describe(now())));
  return Done{};
}

Status Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) return fail(fmt::format("expected '{}', got '{}'", name, describe(now())));
  return Done{};
}

Result<Token> Parser::expect(TokenType type, std::string_view what) {
  if (now().type != type) return fail(fmt::format("expected {}, got '{}'", what, describe(now())));
  return take();
}

Result<int> Parser::name_id(std::string_view name) {
  const auto found = ids_.find(std::string(name));
  if (found != ids_.end()) return found->second;
  if (program_.names.size() >= max_names)
    return fail(fmt::format("more than {} different names", max_names));
  const int id = static_cast<int>(program_.names.size());
  program_.names.emplace_back(name);
  ids_.emplace(name, id);
  return id;
}

Result<Body> Parser::run() {
  Body body = TRY(parse_until({}));
  if (now().type != TokenType::end) return fail(fmt::format("unexpected '{}'", describe(now())));
  return body;
}

Status Parser::parse_data_or_variable(std::vector<Expression*>& parts) {
  const Token token = take();
  if (token.type == TokenType::data) {
    auto* data = program_.add<Literal>(token.line);
    data->value = program_.constant(std::string(token.text));
    parts.push_back(data);
    return Done{};
  }
  parts.push_back(TRY(parse_tuple({})));
  TRY(expect(TokenType::variable_end, "'}}'"));
  return Done{};
}

Result<Body> Parser::parse_until(Ends ends) {
  const Nest nest(*this);
  TRY(nest.check());
  Body body;
  while (now().type != TokenType::end) {
    if (now().type == TokenType::data || now().type == TokenType::variable_begin) {
      auto* output = program_.add<Output>(now().line);
      while (now().type == TokenType::data || now().type == TokenType::variable_begin)
        TRY(parse_data_or_variable(output->parts));
      body.push_back(output);
      continue;
    }
    take();  // block_begin: nothing else stands outside of tags
    if (now().type == TokenType::name &&
        std::find(ends.begin(), ends.end(), now().text) != ends.end())
      return body;
    body.push_back(TRY(parse_statement()));
    TRY(expect(TokenType::block_end, "'%}'"));
  }
  if (ends.size() != 0)
    return fail(fmt::format("the template ends where '{}' is missing", *(ends.end() - 1)));
  return body;
}

Result<Body> Parser::parse_body(Ends ends) {
  skip_op(":");
  TRY(expect(TokenType::block_end, "'%}'"));
  return parse_until(ends);
}

Result<Statement*> Parser::parse_statement() {
  const Token tag = TRY(expect(TokenType::name, "the name of a tag"));
  if (tag.text == "for") return parse_for();
  if (tag.text == "if") return parse_if();
  if (tag.text == "set") return parse_set();
  if (tag.text == "with") return parse_with();
  if (tag.text == "macro") return parse_macro();
  if (tag.text == "call") return parse_call_block();
  if (tag.text == "filter") return parse_filter_block();
  if (tag.text == "generation") return parse_generation();
  if (tag.text == "block") return parse_block();
  if (tag.text == "print") return parse_print();
  if (tag.text == "break") return program_.add<Break>(tag.line);
  if (tag.text == "continue") return program_.add<Continue>(tag.line);
  for (const std::string_view refused : {"include", "import", "from", "extends", "autoescape"})
    if (tag.text == refused)
      return fail_at(tag.line, fmt::format("'{}' is refused in a chat template", refused));
  return fail_at(tag.line, fmt::format("unknown tag '{}'", describe(tag)));
}

Result<Statement*> Parser::parse_for() {
  auto* node = program_.add<For>(now().line);
  const std::size_t target_start = at_;
  TupleRules rules{.end_name = "in"};
  node->target = TRY(parse_target(rules));
  TRY(mark_target(node->target, Name::Use::parameter));
  TRY(expect_name("in"));
  node->items = TRY(parse_tuple({.conditional = false, .end_name = "recursive"}));
  if (skip_name("if")) {
    node->test = TRY(parse_expression());
    const std::size_t after_test = at_;
    at_ = target_start;
    node->test_target = TRY(parse_target(rules));
    TRY(mark_target(node->test_target, Name::Use::parameter));
    at_ = after_test;
  }
  node->recursive = skip_name("recursive");
  node->body = TRY(parse_body({"endfor", "else"}));
  if (take().text == "else") {
    node->otherwise = TRY(parse_body({"endfor"}));
    take();
  }
  return node;
}

Result<Statement*> Parser::parse_if() {
  auto* node = program_.add<If>(now().line);
  for (;;) {
    Expression* test = TRY(parse_tuple({.conditional = false}));
    Body body = TRY(parse_body({"elif", "else", "endif"}));
    node->branches.emplace_back(test, std::move(body));
    const Token end = take();
    if (end.text == "elif") continue;
    if (end.text == "else") {
      node->otherwise = TRY(parse_body({"endif"}));
      take();
    }
    return node;
  }
}

Result<Statement*> Parser::parse_set() {
  const std::uint32_t line = now().line;
  Expression* target = TRY(parse_target({.attributes = true}));
  TRY(mark_target(target, Name::Use::store));
  if (skip_op("=")) {
    auto* node = program_.add<Set>(line);
    node->target = target;
    node->value = TRY(parse_tuple({}));
    return node;
  }
  auto* node = program_.add<SetBlock>(line);
  node->target = target;
  if (now().is_op("|")) {
    node->filter = program_.add<Postfix>(line);
    while (skip_op("|")) TRY(parse_filter(*node->filter));
  }
  node->body = TRY(parse_body({"endset"}));
  take();
  return node;
}

Result<Statement*> Parser::parse_with() {
  auto* node = program_.add<With>(now().line);
  while (now().type != TokenType::block_end) {
    if (!node->values.empty()) TRY(expect_op(","));
    Expression* target = TRY(parse_target({}));
    TRY(mark_target(target, Name::Use::parameter));
    TRY(expect_op("="));
    node->values.emplace_back(target, TRY(parse_expression()));
  }
  node->body = TRY(parse_body({"endwith"}));
  take();
  return node;
}

Status Parser::parse_signature(Function& function) {
  TRY(expect_op("("));
  while (!now().is_op(")")) {
    if (!function.parameters.empty()) TRY(expect_op(","));
    Name* parameter = TRY(parse_target_name(Name::Use::parameter));
    if (skip_op("="))
      function.defaults.push_back(TRY(parse_expression()));
    else if (!function.defaults.empty())
      return fail("a parameter without a default follows one that has one");
    function.parameters.push_back(parameter);
  }
  return expect_op(")");
}

Result<Statement*> Parser::parse_macro() {
  auto* node = program_.add<MacroStatement>(now().line);
  node->name = std::string(now().text);
  node->target = TRY(parse_target_name(Name::Use::store));
  TRY(parse_signature(node->function));
  node->function.body = TRY(parse_body({"endmacro"}));
  take();
  return node;
}

Result<Statement*> Parser::parse_call_block() {
  auto* node = program_.add<CallBlock>(now().line);
  if (now().is_op("(")) TRY(parse_signature(node->function));
  Expression* call = TRY(parse_expression());
  if (call->kind == ExpressionKind::postfix) node->call = static_cast<Postfix*>(call);
  if (!node->call || node->call->steps.back().kind != Step::Kind::call)
    return fail_at(node->line, "expected a call");
  node->function.body = TRY(parse_body({"endcall"}));
  take();
  return node;
}

Result<Statement*> Parser::parse_filter_block() {
  auto* node = program_.add<FilterBlock>(now().line);
  node->filter = program_.add<Postfix>(now().line);
  do TRY(parse_filter(*node->filter));
  while (skip_op("|"));
  node->body = TRY(parse_body({"endfilter"}));
  take();
  return node;
}

Result<Statement*> Parser::parse_generation() {
  auto* node = program_.add<GenerationBlock>(now().line);
  node->function.body = TRY(parse_body({"endgeneration"}));
  take();
  return node;
}

Result<Statement*> Parser::parse_block() {
  auto* node = program_.add<BlockStatement>(now().line);
  node->name = std::string(TRY(expect(TokenType::name, "the block's name")).text);
  if (now().is_name("scoped") || now().is_name("required"))
    return fail(fmt::format("'{}' blocks are refused in a chat template", now().text));
  node->function.body = TRY(parse_body({"endblock"}));
  take();
  skip_name(node->name);
  return node;
}

Result<Statement*> Parser::parse_print() {
  auto* node = program_.add<Output>(now().line);
  while (now().type != TokenType::block_end) {
    if (!node->parts.empty()) TRY(expect_op(","));
    node->parts.push_back(TRY(parse_expression()));
  }
  return node;
}

}  // namespace hearth::jinja
