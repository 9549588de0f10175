#include "text/grammar/json_text.h"

#include "text/grammar/program.h"

namespace hearth::grammar {
namespace {

constexpr std::uint32_t max_indent = 32;
constexpr std::uint32_t max_digits = 24, max_fraction_digits = 20;

}  // namespace

template <typename Make>
ExprId JsonText::rule(std::optional<RuleId>& id, const char* name, const Make& make) {
  if (!id) {
    id = grammar_.declare(name);
    grammar_.define(*id, make());
  }
  return grammar_.rule(*id);
}

ExprId JsonText::blank() {
  return rule(blank_, "blank", [&] {
    CharSet indent(' ', ' ');
    indent.add('\t', '\t');
    return grammar_.choice(
        {grammar_.empty(), grammar_.literal(" "),
         grammar_.sequence(
             {grammar_.literal("\n"), grammar_.repeat(grammar_.chars(indent), 0, max_indent)})});
  });
}

ExprId JsonText::character() {
  const auto hex = [&](std::string_view first, std::string_view second) {
    const auto set = [](std::string_view letters) {
      CharSet result;
      for (const char c : letters) {
        result.add(static_cast<std::uint32_t>(c), static_cast<std::uint32_t>(c));
        if (c >= 'a')
          result.add(static_cast<std::uint32_t>(c - 32), static_cast<std::uint32_t>(c - 32));
      }
      return result;
    };
    const ExprId any = grammar_.chars(set("0123456789abcdef"));
    return grammar_.sequence({grammar_.chars(set(first)), grammar_.chars(set(second)), any, any});
  };
  constexpr std::string_view all = "0123456789abcdef";
  CharSet letters;
  for (const char c : std::string_view("\"\\/bfnrt"))
    letters.add(static_cast<std::uint32_t>(c), static_cast<std::uint32_t>(c));
  // Half of a surrogate pair never stands alone.
  const ExprId pair =
      grammar_.sequence({hex("d", "89ab"), grammar_.literal("\\u"), hex("d", "cdef")});
  const ExprId escape = grammar_.choice(
      {grammar_.chars(letters),
       grammar_.sequence({grammar_.literal("u"), grammar_.choice({hex("0123456789abcef", all),
                                                                  hex("d", "01234567"), pair})})});
  return grammar_.choice(
      {grammar_.chars(plain_characters()), grammar_.sequence({grammar_.literal("\\"), escape})});
}

ExprId JsonText::string() {
  return rule(string_, "string", [&] {
    return grammar_.sequence({grammar_.literal("\""), grammar_.repeat(character(), 0, unlimited),
                              grammar_.literal("\"")});
  });
}

ExprId JsonText::integer() {
  return rule(integer_, "integer", [&] {
    const ExprId digit = grammar_.chars(CharSet('0', '9'));
    return grammar_.sequence(
        {grammar_.optional(grammar_.literal("-")),
         grammar_.choice({grammar_.literal("0"),
                          grammar_.sequence({grammar_.chars(CharSet('1', '9')),
                                             grammar_.repeat(digit, 0, max_digits - 1)})})});
  });
}

ExprId JsonText::number() {
  return rule(number_, "number", [&] {
    const ExprId digit = grammar_.chars(CharSet('0', '9'));
    CharSet e('e', 'e'), sign('+', '+');
    e.add('E', 'E');
    sign.add('-', '-');
    return grammar_.sequence(
        {grammar_.optional(grammar_.literal("-")),
         grammar_.choice({grammar_.literal("0"),
                          grammar_.sequence({grammar_.chars(CharSet('1', '9')),
                                             grammar_.repeat(digit, 0, max_digits - 1)})}),
         grammar_.optional(grammar_.sequence(
             {grammar_.literal("."), grammar_.repeat(digit, 1, max_fraction_digits)})),
         grammar_.optional(
             grammar_.sequence({grammar_.chars(e), grammar_.optional(grammar_.chars(sign)),
                                grammar_.repeat(digit, 1, 2)}))});
  });
}

ExprId JsonText::enclosed(std::string_view open, ExprId inner, std::string_view close,
                          bool may_be_empty) {
  ExprId body = grammar_.sequence({inner, blank()});
  if (may_be_empty) body = grammar_.optional(body);
  return grammar_.sequence({grammar_.literal(open), blank(), body, grammar_.literal(close)});
}

ExprId JsonText::braces(ExprId members, bool may_be_empty) {
  return enclosed("{", members, "}", may_be_empty);
}

ExprId JsonText::brackets(ExprId items, bool may_be_empty) {
  return enclosed("[", items, "]", may_be_empty);
}

ExprId JsonText::object() {
  return rule(object_, "object", [&] {
    const ExprId member = grammar_.sequence({string(), colon(), value()});
    const ExprId more = grammar_.repeat(grammar_.sequence({comma(), member}), 0, unlimited);
    return braces(grammar_.sequence({member, more}), true);
  });
}

ExprId JsonText::array() {
  return rule(array_, "array", [&] {
    const ExprId more = grammar_.repeat(grammar_.sequence({comma(), value()}), 0, unlimited);
    return brackets(grammar_.sequence({value(), more}), true);
  });
}

ExprId JsonText::value() {
  return rule(value_, "value", [&] {
    return grammar_.choice({object(), array(), string(), number(), grammar_.literal("true"),
                            grammar_.literal("false"), grammar_.literal("null")});
  });
}

ExprId JsonText::literal(const Json& value) {
  if (value.is_array()) {
    std::vector<ExprId> items;
    for (const Json& item : value.as_array()) {
      if (!items.empty()) items.push_back(comma());
      items.push_back(literal(item));
    }
    return items.empty() ? grammar_.literal("[]") : brackets(grammar_.sequence(items), false);
  }
  if (value.is_object()) {
    std::vector<ExprId> members;
    for (const auto& [key, member] : value.as_object()) {
      if (!members.empty()) members.push_back(comma());
      members.push_back(grammar_.literal(write_json(Json(key))));
      members.push_back(colon());
      members.push_back(literal(member));
    }
    return members.empty() ? grammar_.literal("{}") : braces(grammar_.sequence(members), false);
  }
  return grammar_.literal(write_json(value));
}

Grammar json_grammar(bool is_object) {
  Grammar grammar;
  JsonText text(grammar);
  grammar.set_root(grammar.define("root", is_object ? text.object() : text.value()));
  return grammar;
}

}  // namespace hearth::grammar
