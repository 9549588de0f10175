#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "text/jinja/callables.h"
#include "text/jinja/parser.h"

namespace hearth::jinja {
namespace {

bool is_constant_name(std::string_view name) {
  return name == "true" || name == "True" || name == "false" || name == "False" || name == "none" ||
         name == "None";
}

std::string without_underscores(std::string_view text) {
  std::string out(text);
  std::erase(out, '_');
  return out;
}

// The value of an integer token; nothing if it passes 64 bits.
std::optional<std::int64_t> integer_of(std::string_view token) {
  const std::string text = without_underscores(token);
  int base = 10;
  std::size_t start = 0;
  if (text.size() > 2 && text[0] == '0') {
    const char letter = static_cast<char>(text[1] | 32);
    base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
    start = base == 10 ? 0 : 2;
  }
  std::int64_t value = 0;
  const auto [end, code] =
      std::from_chars(text.data() + start, text.data() + text.size(), value, base);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

// Targets of assignments: names, tuples of them, and ns.name where `attributes` allows it.
Result<Expression*> Parser::parse_target(TupleRules rules) {
  rules.simple = true;
  return parse_tuple(rules);
}

Result<Name*> Parser::parse_target_name(Name::Use use) {
  const Token token = TRY(expect(TokenType::name, "a name"));
  if (is_constant_name(token.text))
    return fail_at(token.line, fmt::format("cannot assign to '{}'", token.text));
  auto* node = program_.add<Name>(token.line);
  node->name = TRY(name_id(token.text));
  node->use = use;
  return node;
}

Status Parser::mark_target(Expression* target, Name::Use use) {
  if (target->kind == ExpressionKind::name) {
    static_cast<Name*>(target)->use = use;
    return Done{};
  }
  if (target->kind == ExpressionKind::attribute_target) return Done{};
  auto* items =
      target->kind == ExpressionKind::items ? static_cast<ItemsLiteral*>(target) : nullptr;
  if (!items || !items->is_tuple) return fail_at(target->line, "cannot assign to this");
  const Nest nest(*this);
  TRY(nest.check());
  for (Expression* item : items->items) TRY(mark_target(item, use));
  return Done{};
}

Result<Expression*> Parser::parse_tuple(TupleRules rules) {
  const std::uint32_t line = now().line;
  std::vector<Expression*> items;
  bool is_tuple = false;
  for (;;) {
    if (!items.empty()) TRY(expect_op(","));
    if (now().type == TokenType::variable_end || now().type == TokenType::block_end ||
        now().is_op(")") || (!rules.end_name.empty() && now().is_name(rules.end_name)))
      break;
    items.push_back(rules.simple ? TRY(parse_primary(rules.attributes))
                                 : TRY(parse_expression(rules.conditional)));
    if (!now().is_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return items[0];
    if (!rules.in_parentheses)
      return fail(fmt::format("expected an expression, got '{}'", describe(now())));
  }
  auto* node = program_.add<ItemsLiteral>(line);
  node->is_tuple = true;
  node->items = std::move(items);
  return node;
}

Result<Expression*> Parser::parse_expression(bool conditional) {
  const Nest nest(*this);
  TRY(nest.check());
  Expression* value = TRY(parse_or());
  if (!conditional) return value;
  int chained = 0;  // without parentheses "a if b if c" nests to the left
  while (now().is_name("if")) {
    if (depth_ + ++chained > max_depth_) return fail("too many conditions in a row");
    auto* node = program_.add<Conditional>(now().line);
    take();
    node->then = value;
    node->condition = TRY(parse_or());
    if (skip_name("else")) node->otherwise = TRY(parse_expression());
    value = node;
  }
  return value;
}

Result<Expression*> Parser::parse_logic(std::string_view word, Level next) {
  Expression* first = TRY((this->*next)());
  if (!now().is_name(word)) return first;
  auto* node = program_.add<Logic>(now().line);
  node->is_or = word == "or";
  node->parts.push_back(first);
  while (skip_name(word)) node->parts.push_back(TRY((this->*next)()));
  return node;
}

Result<Expression*> Parser::parse_or() { return parse_logic("or", &Parser::parse_and); }

Result<Expression*> Parser::parse_and() { return parse_logic("and", &Parser::parse_not); }

Result<Expression*> Parser::parse_not() {
  if (!now().is_name("not")) return parse_compare();
  const Nest nest(*this);
  TRY(nest.check());
  auto* node = program_.add<Negation>(take().line);
  node->value = TRY(parse_not());
  return node;
}

Result<Expression*> Parser::parse_compare() {
  static constexpr OperatorText operators[] = {
      {"==", Operator::equal},  {"!=", Operator::not_equal},  {"<", Operator::less},
      {">", Operator::greater}, {"<=", Operator::less_equal}, {">=", Operator::greater_equal}};
  Expression* first = TRY(parse_sum());
  Compare* node = nullptr;
  for (;;) {
    std::optional<Operator> op;
    const std::uint32_t line = now().line;
    for (const auto& [text, meaning] : operators)
      if (now().is_op(text)) op = meaning;
    if (now().is_name("in")) op = Operator::in;
    if (now().is_name("not") && look().is_name("in")) {
      take();
      op = Operator::not_in;
    }
    if (!op) break;
    take();
    if (!node) {
      node = program_.add<Compare>(line);
      node->first = first;
    }
    node->rest.push_back({*op, TRY(parse_sum())});
  }
  return node ? node : first;
}

Result<Expression*> Parser::parse_chain(std::span<const OperatorText> operators, Level next) {
  Expression* first = TRY((this->*next)());
  Chain* node = nullptr;
  for (;;) {
    const auto found =
        std::ranges::find_if(operators, [&](const auto& row) { return now().is_op(row.first); });
    if (found == operators.end()) return node ? node : first;
    const std::uint32_t line = take().line;
    if (!node) {
      node = program_.add<Chain>(line);
      node->first = first;
    }
    node->rest.push_back({found->second, TRY((this->*next)())});
  }
}

Result<Expression*> Parser::parse_sum() {
  static constexpr OperatorText operators[] = {{"+", Operator::add}, {"-", Operator::subtract}};
  return parse_chain(operators, &Parser::parse_concat);
}

Result<Expression*> Parser::parse_concat() {
  Expression* first = TRY(parse_product());
  if (!now().is_op("~")) return first;
  auto* node = program_.add<Concat>(now().line);
  node->parts.push_back(first);
  while (skip_op("~")) node->parts.push_back(TRY(parse_product()));
  return node;
}

Result<Expression*> Parser::parse_product() {
  static constexpr OperatorText operators[] = {{"*", Operator::multiply},
                                               {"/", Operator::divide},
                                               {"//", Operator::floor_divide},
                                               {"%", Operator::modulo}};
  return parse_chain(operators, &Parser::parse_power);
}

Result<Expression*> Parser::parse_power() {
  Expression* first = TRY(parse_unary());
  if (!now().is_op("**")) return first;
  auto* node = program_.add<Chain>(now().line);
  node->first = first;
  while (skip_op("**")) node->rest.push_back({Operator::power, TRY(parse_unary())});
  return node;
}

Result<Expression*> Parser::parse_unary(bool with_filters) {
  Expression* node = nullptr;
  if (now().is_op("-") || now().is_op("+")) {
    const Nest nest(*this);
    TRY(nest.check());
    const Token token = take();
    auto* sign = program_.add<Sign>(token.line);
    sign->minus = token.text == "-";
    sign->value = TRY(parse_unary(false));
    node = sign;
  } else {
    node = TRY(parse_primary(false));
  }
  node = TRY(parse_postfix(node));
  return with_filters ? parse_filters_and_tests(node) : Result<Expression*>(node);
}

Result<Expression*> Parser::parse_primary(bool attributes) {
  if (now().type == TokenType::name) return parse_name(attributes);
  if (now().type == TokenType::string || now().type == TokenType::integer ||
      now().type == TokenType::real)
    return parse_literal();
  if (skip_op("(")) {
    Expression* inner = TRY(parse_tuple({.in_parentheses = true}));
    TRY(expect_op(")"));
    return inner;
  }
  if (now().is_op("[")) return parse_list();
  if (now().is_op("{")) return parse_dict();
  return fail(fmt::format("unexpected '{}'", describe(now())));
}

Result<Expression*> Parser::parse_name(bool attributes) {
  const Token token = take();
  if (is_constant_name(token.text)) {
    auto* literal = program_.add<Literal>(token.line);
    const char letter = static_cast<char>(token.text[0] | 32);
    literal->value = letter == 'n' ? Value::none() : Value::boolean(letter == 't');
    return literal;
  }
  auto* name = program_.add<Name>(token.line);
  name->name = TRY(name_id(token.text));
  if (!attributes || !skip_op(".")) return name;
  auto* target = program_.add<AttributeTarget>(token.line);
  target->space = name;
  target->attribute = std::string(TRY(expect(TokenType::name, "a name")).text);
  return target;
}

Result<Expression*> Parser::parse_literal() {
  auto* node = program_.add<Literal>(now().line);
  if (now().type == TokenType::string) {
    std::string text;
    while (now().type == TokenType::string) text += TRY(unescape(take()));
    node->value = program_.constant(std::move(text));
    return node;
  }
  const Token token = take();
  if (token.type == TokenType::integer) {
    const auto value = integer_of(token.text);
    if (!value) return fail_at(token.line, "an integer of more than 64 bits");
    node->value = Value::integer(*value);
    return node;
  }
  const std::string text = without_underscores(token.text);
  double value = 0;
  // Out of range leaves 0 or infinity as Python has them.
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec == std::errc::result_out_of_range) value = std::strtod(text.c_str(), nullptr);
  node->value = Value::real(value);
  return node;
}

Result<Expression*> Parser::parse_list() {
  auto* node = program_.add<ItemsLiteral>(take().line);
  while (!now().is_op("]")) {
    if (!node->items.empty()) TRY(expect_op(","));
    if (now().is_op("]")) break;
    node->items.push_back(TRY(parse_expression()));
  }
  TRY(expect_op("]"));
  return node;
}

Result<Expression*> Parser::parse_dict() {
  auto* node = program_.add<DictLiteral>(take().line);
  while (!now().is_op("}")) {
    if (!node->entries.empty()) TRY(expect_op(","));
    if (now().is_op("}")) break;
    Expression* key = TRY(parse_expression());
    TRY(expect_op(":"));
    node->entries.emplace_back(key, TRY(parse_expression()));
  }
  TRY(expect_op("}"));
  return node;
}

Postfix* Parser::postfix_of(Expression* base) {
  if (base->kind == ExpressionKind::postfix) return static_cast<Postfix*>(base);
  auto* node = program_.add<Postfix>(base->line);
  node->base = base;
  return node;
}

Result<Expression*> Parser::parse_postfix(Expression* base) {
  for (;;) {
    if (now().is_op(".") || now().is_op("[")) {
      Postfix* node = postfix_of(base);
      TRY(parse_subscript(*node));
      base = node;
    } else if (now().is_op("(")) {
      Postfix* node = postfix_of(base);
      Step step{.kind = Step::Kind::call, .line = now().line};
      step.arguments = TRY(parse_arguments());
      node->steps.push_back(std::move(step));
      base = node;
    } else {
      return base;
    }
  }
}

Result<Expression*> Parser::parse_filters_and_tests(Expression* base) {
  for (;;) {
    if (now().is_op("|")) {
      Postfix* node = postfix_of(base);
      while (skip_op("|")) TRY(parse_filter(*node));
      base = node;
    } else if (now().is_name("is")) {
      Postfix* node = postfix_of(base);
      TRY(parse_test(*node));
      base = node;
    } else if (now().is_op("(")) {
      Postfix* node = postfix_of(base);
      Step step{.kind = Step::Kind::call, .line = now().line};
      step.arguments = TRY(parse_arguments());
      node->steps.push_back(std::move(step));
      base = node;
    } else {
      return base;
    }
  }
}

Status Parser::parse_subscript(Postfix& postfix) {
  const Token opening = take();
  if (opening.text == ".") {
    const Token name = take();
    Step step{.kind = Step::Kind::attribute, .line = opening.line};
    if (name.type == TokenType::name) {
      step.name = std::string(name.text);
    } else {
      const auto index = name.type == TokenType::integer ? integer_of(name.text) : std::nullopt;
      if (!index) return fail_at(name.line, "expected a name or number");
      auto* literal = program_.add<Literal>(name.line);
      literal->value = Value::integer(*index);
      step.kind = Step::Kind::item;
      step.item = literal;
    }
    postfix.steps.push_back(std::move(step));
    return Done{};
  }
  Step step = TRY(parse_slice_or_item());
  if (!now().is_op("]")) {
    if (step.kind == Step::Kind::slice) return fail("a slice is one of several subscripts");
    auto* items = program_.add<ItemsLiteral>(opening.line);
    items->is_tuple = true;
    items->items.push_back(step.item);
    while (!now().is_op("]")) {
      TRY(expect_op(","));
      items->items.push_back(TRY(parse_expression()));
    }
    step.item = items;
  }
  TRY(expect_op("]"));
  postfix.steps.push_back(std::move(step));
  return Done{};
}

Result<Step> Parser::parse_slice_or_item() {
  Step step{.kind = Step::Kind::item, .line = now().line};
  if (!now().is_op(":")) step.item = TRY(parse_expression());
  if (!skip_op(":")) return step;
  step.kind = Step::Kind::slice;
  const auto ends = [&] { return now().is_op("]") || now().is_op(","); };
  if (!now().is_op(":") && !ends()) step.stop = TRY(parse_expression());
  if (skip_op(":") && !ends()) step.step = TRY(parse_expression());
  return step;
}

Result<std::string> Parser::parse_dotted_name() {
  std::string name(TRY(expect(TokenType::name, "a name")).text);
  while (skip_op(".")) name.append(".").append(TRY(expect(TokenType::name, "a name")).text);
  return name;
}

Status Parser::parse_filter(Postfix& postfix) {
  Step step{.kind = Step::Kind::filter, .line = now().line};
  step.name = TRY(parse_dotted_name());
  step.signature = find_filter(step.name);
  if (now().is_op("(")) step.arguments = TRY(parse_arguments());
  postfix.steps.push_back(std::move(step));
  return Done{};
}

Status Parser::parse_test(Postfix& postfix) {
  Step step{.kind = Step::Kind::test, .line = take().line};
  step.negated = skip_name("not");
  step.name = TRY(parse_dotted_name());
  step.signature = find_test(step.name);
  const Token& next = now();
  if (next.is_op("(")) {
    step.arguments = TRY(parse_arguments());
  } else if ((next.type == TokenType::name || next.type == TokenType::string ||
              next.type == TokenType::integer || next.type == TokenType::real || next.is_op("[") ||
              next.is_op("{")) &&
             !next.is_name("else") && !next.is_name("or") && !next.is_name("and")) {
    if (next.is_name("is")) return fail("tests with 'is' cannot be chained");
    Expression* argument = TRY(parse_primary(false));
    step.arguments.positional.push_back(TRY(parse_postfix(argument)));
  }
  postfix.steps.push_back(std::move(step));
  return Done{};
}

Result<CallArguments> Parser::parse_arguments() {
  CallArguments arguments;
  TRY(expect_op("("));
  bool first = true;
  while (!now().is_op(")")) {
    if (!first) {
      TRY(expect_op(","));
      if (now().is_op(")")) break;
    }
    first = false;
    TRY(parse_argument(arguments));
  }
  TRY(expect_op(")"));
  return arguments;
}

Status Parser::parse_argument(CallArguments& arguments) {
  const Error order = fail("arguments in an order that a call does not allow");
  if (skip_op("*")) {
    if (arguments.spread || arguments.spread_named) return order;
    arguments.spread = TRY(parse_expression());
  } else if (skip_op("**")) {
    if (arguments.spread_named) return order;
    arguments.spread_named = TRY(parse_expression());
  } else if (now().type == TokenType::name && look().is_op("=")) {
    if (arguments.spread_named) return order;
    std::string name(take().text);
    take();
    for (const auto& [other, value] : arguments.named)
      if (other == name) return fail(fmt::format("the argument '{}' is given twice", name));
    arguments.named.emplace_back(std::move(name), TRY(parse_expression()));
  } else {
    if (arguments.spread || arguments.spread_named || !arguments.named.empty()) return order;
    arguments.positional.push_back(TRY(parse_expression()));
  }
  return Done{};
}

}  // namespace hearth::jinja
