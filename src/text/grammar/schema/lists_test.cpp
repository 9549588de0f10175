// Lists that may hold no item twice: where a schema speaks of them, and which texts are refused.
#include "text/grammar/schema/lists.h"

#include <doctest/doctest.h>

#include "text/grammar/grammar_test_support.h"
#include "text/grammar/schema/schema.h"

namespace hearth::grammar {
namespace {

using namespace test;

Result<std::shared_ptr<const Program>> compiled(std::string_view schema) {
  const auto parsed = parse_json(schema);
  if (!parsed) MESSAGE(parsed.error().message());
  REQUIRE(parsed);
  Grammar grammar = TRY(schema_grammar(*parsed));
  return compile(std::move(grammar));
}

const ListRules& rules_of(const Program& program) {
  REQUIRE_FALSE(program.lists.empty());
  return *program.lists.begin()->second;
}

TEST_CASE("lists that hold no item twice are found wherever they are") {
  const struct {
    std::string schema;
    std::vector<std::string> right, wrong;  // the grammar takes all of them
  } rows[] = {
      {R"({"type": "array", "uniqueItems": true})",
       {R"([])", R"([1, "1", null, [1], {"a": 1}])", R"([[1, 1], [1]])", R"([1, 10, 1.5])",
        R"(["a", "A", "a "])", R"([{"a": 1, "b": 2}, {"a": 2, "b": 1}])"},
       {R"([1, 1])", R"([1, 2, 1.0])", R"(["a", "\u0061"])",
        R"([{"a": 1, "b": 2}, {"b": 2, "a": 1}])", R"([[], 1, []])", "[\n  null,\n  null\n]",
        R"(["],[", "],["])"}},
      {R"({"properties": {"a": {"uniqueItems": true}, "b": true}})",
       {R"({"a": [1, 2], "b": [1, 1]})", R"({"a": "x", "c": [1, 1]})", R"([1, 1])"},
       {R"({"a": [1, 1]})", R"({"a": [2, 2], "b": 1})"}},
      {R"({"items": {"$ref": "#/$defs/t"}, "type": "array", "$defs": {"t": {"type": "object",
           "properties": {"tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": true},
                          "below": {"$ref": "#/$defs/t"}}}}})",
       {R"([{"tags": ["a", "b"]}, {"tags": ["a", "b"]}])"},
       {R"([{"tags": ["a"]}, {"below": {"below": {"tags": ["b", "c", "b"]}}}])"}},
      {R"({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "uniqueItems": true}]})",
       {R"("a")", R"(["a", "b"])"},
       {R"(["a", "a"])"}},
      {R"({"type": "object", "patternProperties": {"^x": {"type": "array", "uniqueItems": true}},
           "additionalProperties": false})",
       {R"({"x1": [1], "x2": [1]})"},
       {R"({"x1": [1], "x2": [1, 1]})"}},
      {R"({"type": "array", "prefixItems": [{"type": "array"}, {"type": "array", "uniqueItems": true}]})",
       {R"([[1, 1], [1, 2], [1, 1]])"},
       {R"([[], [1, 1]])"}},
      {R"({"allOf": [{"uniqueItems": true}, {"items": {"type": "integer"}}], "type": "array"})",
       {R"([1, 2])"},
       {R"([1, 1])"}},
      {R"({"type": "array", "items": {"type": "integer"}, "contains": {"const": 7}, "uniqueItems": true})",
       {R"([7, 8])"},
       {R"([7, 7])"}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.schema);
    const auto program = compiled(row.schema);
    if (!program) MESSAGE(program.error().message());
    REQUIRE(program);
    for (const bool is_right : {true, false})
      for (const std::string& text : is_right ? row.right : row.wrong) {
        CAPTURE(text);
        CHECK(matches(*program, text));
        CHECK(ListReader(rules_of(**program)).read(text) == is_right);
        // However the bytes come.
        ListReader reader(rules_of(**program));
        bool holds = true;
        for (const char byte : text) holds = holds && reader.read({&byte, 1});
        CHECK(holds == is_right);
      }
  }
  const auto mixed = compiled(
      R"({"properties": {"a": {"anyOf": [{"type": "array", "uniqueItems": true}, {"type": "array", "minItems": 9}]}}})");
  REQUIRE_FALSE(mixed);
  CHECK(mixed.error().message().find("uniqueItems: true is not offered where another way") !=
        std::string::npos);
}

TEST_CASE("of items that are counted out, none begins that has come") {
  const auto program = compiled(
      R"({"type": "array", "uniqueItems": true, "items": {"enum": ["red", "rose", "blue", 1, 10, 2, 3, 4, 5, 6, 7, 8]}})");
  REQUIRE(program);
  const auto reads = [&](std::string_view text) {
    return ListReader(rules_of(**program)).read(text);
  };
  CHECK(reads(R"(["red", "r)"));
  CHECK_FALSE(reads(R"(["red", "re)"));
  CHECK(reads(R"([1, 1)"));
  CHECK(reads(R"([1, 10)"));
  CHECK_FALSE(reads(R"([10, 1, 1)"));
  CHECK(reads(R"(["red", "rose", "blue", 1, 10, 2, 3, 4, 5, 6, 7, 8])"));
  CHECK_FALSE(reads(R"(["red", "rose", "blue", 1, 10, 2, 3, 4, 5, 6, 7, 8,)"));
}

}  // namespace
}  // namespace hearth::grammar
