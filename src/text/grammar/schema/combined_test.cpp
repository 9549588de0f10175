// Schemas that combine others, and references and patterns that are turned into something simpler.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include "text/grammar/grammar_test_support.h"
#include "text/grammar/schema/schema.h"

namespace hearth::grammar {
namespace {

Result<std::shared_ptr<const Program>> compiled(const Json& schema) {
  Grammar grammar = TRY(schema_grammar(schema));
  return compile(std::move(grammar));
}

// Members in the order of the schema.
bool takes(const std::shared_ptr<const Program>& program, const Json& value) {
  return test::matches(program, write_json(value));
}

TEST_CASE("look-ahead where a pattern begins") {
  const struct {
    std::string pattern;
    std::vector<std::string> right, wrong;
  } rows[] = {
      {"^(?!variables$).+$", {"variable", "variables2", "x"}, {"variables", ""}},
      {"^(?!bundle::)(?!with$).*", {"", "bundle", "without"}, {"bundle::a", "with"}},
      {"^(?=[A-Z])[a-zA-Z0-9 ]*[a-z]$", {"Ab", "A b"}, {"ab", "A"}},
      {"^(?!relationships$|links$)\\w[-\\w_]*$", {"link", "linkss", "a-b"}, {"links", "-a"}},
      {"^(?![)(|\\]])[a-z)]{1,3}$", {"a)", "abc"}, {")a"}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.pattern);
    const auto program = compiled(Json::object({{"type", "string"}, {"pattern", row.pattern}}));
    if (!program) MESSAGE(program.error().message());
    REQUIRE(program);
    for (const bool is_right : {true, false})
      for (const std::string& text : is_right ? row.right : row.wrong) {
        CAPTURE(text);
        CHECK(takes(*program, Json(text)) == is_right);
      }
  }
  const auto keys = compiled(*parse_json(
      R"_({"type": "object", "patternProperties": {"^(?!x-)": {"type": "integer"}}})_"));
  REQUIRE(keys);
  CHECK(takes(*keys, *parse_json(R"({"a": 1, "x-b": "text"})")));
  CHECK_FALSE(takes(*keys, *parse_json(R"({"a": "text"})")));
  for (const char* pattern : {"^(?!a)b|c", "(?!a)b", "^a(?!b)", "^(?<!a)b", "^(?!a"})
    CHECK_FALSE(compiled(Json::object({{"pattern", pattern}})));
}

TEST_CASE("alternatives that only objects tell apart, and chains of tests") {
  const auto one_of = [] {
    Json list = Json::array();
    for (int i = 0; i < 20; ++i)
      list.push_back(*parse_json(fmt::format(
          R"({{"properties": {{"kind": {{"const": "k{0}"}}, "a{0}": {{"type": "integer"}}, "b": true, "c": true}},
              "required": ["kind", "b"], "additionalProperties": false}})",
          i)));
    return Json::object({{"oneOf", std::move(list)}});
  }();
  const auto kinds = compiled(one_of);
  if (!kinds) MESSAGE(kinds.error().message());
  REQUIRE(kinds);
  CHECK(takes(*kinds, *parse_json(R"({"kind": "k7", "a7": 1, "b": 2})")));
  CHECK_FALSE(takes(*kinds, *parse_json(R"({"kind": "k7", "a8": 1, "b": 2})")));
  CHECK_FALSE(takes(*kinds, *parse_json("5")));  // which all of them allow
  Json tests = Json::array();
  for (int i = 0; i < 12; ++i)
    tests.push_back(*parse_json(fmt::format(
        R"({{"if": {{"properties": {{"kind": {{"const": "k{0}"}}}}}}, "then": {{"required": ["a{0}"]}}}})",
        i)));
  const auto chain = compiled(Json::object(
      {{"type", "object"},
       {"properties",
        *parse_json(R"({"kind": {"enum": ["k0", "k5", "none"]}, "a0": true, "a5": true})")},
       {"required", Json(Json::Array{"kind"})},
       {"allOf", std::move(tests)}}));
  if (!chain) MESSAGE(chain.error().message());
  REQUIRE(chain);
  CHECK(takes(*chain, *parse_json(R"({"kind": "k5", "a5": 1})")));
  CHECK(takes(*chain, *parse_json(R"({"kind": "none"})")));
  CHECK_FALSE(takes(*chain, *parse_json(R"({"kind": "k5", "a0": 1})")));
}

TEST_CASE("a recursive reference means the outermost schema that says so") {
  const Json schema = *parse_json(R"({"$id": "http://a/strict", "$recursiveAnchor": true,
      "$ref": "tree", "unevaluatedProperties": false, "$defs": {"tree": {
        "$id": "tree", "$recursiveAnchor": true, "type": "object", "properties": {
          "data": true, "children": {"type": "array", "items": {"$recursiveRef": "#"}}}}}})");
  const auto program = compiled(schema);
  if (!program) MESSAGE(program.error().message());
  REQUIRE(program);
  CHECK(takes(*program, *parse_json(R"({"children": [{"data": 1}]})")));
  CHECK_FALSE(takes(*program, *parse_json(R"({"children": [{"daat": 1}]})")));
}

}  // namespace
}  // namespace hearth::grammar
