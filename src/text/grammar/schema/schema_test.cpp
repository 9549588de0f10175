#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "text/grammar/grammar_test_support.h"
#include "text/grammar/schema/check.h"
#include "text/grammar/schema/lists.h"
#include "text/grammar/schema/schema.h"
#include "text/test_data.h"

namespace hearth::grammar {
namespace {

using namespace test;

Result<std::shared_ptr<const Program>> compiled(const Json& schema) {
  Grammar grammar = TRY(schema_grammar(schema));
  return compile(std::move(grammar));
}

// Every order of every object's members, up to a limit: a schema's grammar has one order.
constexpr std::size_t max_orders = 240;
std::vector<Json> orders_of(const Json& value) {
  if (value.is_number() && !value.is_integer() &&
      value.as_number() == std::floor(value.as_number()) && std::abs(value.as_number()) < 9.1e15)
    return {Json(static_cast<std::int64_t>(value.as_number()))};
  std::vector<Json> result;
  if (value.is_array()) {
    result.push_back(Json::array());
    for (const Json& item : value.as_array()) {
      std::vector<Json> next;
      for (const Json& before : result)
        for (const Json& own : orders_of(item)) {
          if (next.size() >= max_orders) break;
          next.push_back(before);
          next.back().push_back(own);
        }
      result = std::move(next);
    }
    return result;
  }
  if (!value.is_object()) return {value};
  Json::Object members = value.as_object();
  const auto by_key = [](const auto& a, const auto& b) { return a.first < b.first; };
  std::ranges::sort(members, by_key);
  do {
    std::vector<Json> some = {Json::object()};
    for (const auto& [key, member] : members) {
      std::vector<Json> next;
      for (const Json& before : some)
        for (const Json& own : orders_of(member)) {
          next.push_back(before);
          next.back().set(key, own);
        }
      some = std::move(next);
    }
    result.insert(result.end(), some.begin(), some.end());
  } while (result.size() < max_orders && std::ranges::next_permutation(members, by_key).found);
  return result;
}

// Whether the lists of a text that the grammar takes are as the schema wants them.
bool has_right_lists(const Program& program, const std::string& text) {
  return program.lists.empty() || ListReader(*program.lists.begin()->second).read(text);
}

bool takes(const std::shared_ptr<const Program>& program, const Json& value) {
  const auto holds = [&](const std::string& text) {
    return matches(program, text) && has_right_lists(*program, text);
  };
  return std::ranges::any_of(orders_of(value), [&](const Json& order) {
    return holds(write_json(order)) &&
           holds(write_json(order, {.item_separator = ", ", .key_separator = ": "})) &&
           holds(write_json(order, {.indent = 2, .key_separator = ": "}));
  });
}

struct Counts {
  int schemas = 0, refused = 0, valid = 0, invalid = 0, wrong = 0;
};

// What a message names: "#/a/b: KEYWORD: ..." or all of it.
std::string keyword_of(const std::string& message) {
  const std::size_t place = message.find(": ");
  const std::size_t end = message.find(": ", place + 2);
  return place == message.npos || end == message.npos ? message
                                                      : message.substr(place + 2, end - place - 2);
}

void run_suite(const std::string& name, std::map<std::string, int>& refused, Counts& counts) {
  const std::string path =
      hearth::test::data_file("conformance/json/JSON-Schema-Test-Suite/tests/" + name + ".json");
  if (path.empty()) return;
  auto groups = parse_json(hearth::test::read_all(path));
  if (!groups) return;  // numbers out of a double's range
  for (const Json& group : groups->as_array()) {
    CAPTURE(group.find("description")->as_string());
    CAPTURE(name);
    ++counts.schemas;
    Json schema = *group.find("schema");
    if (schema.is_object() && name.starts_with("draft7") && !schema.find("$schema"))
      schema.set("$schema", "http://json-schema.org/draft-07/schema#");
    const auto program = compiled(schema);
    // Schemas that nothing satisfies are refused too: nothing could be generated.
    if (!program) {
      ++counts.refused;
      ++refused[keyword_of(program.error().message())];
      if (std::getenv("HEARTH_SHOW_REFUSED"))
        fmt::print("{}: {}: {}\n", name, group.find("description")->as_string(),
                   program.error().message());
      if (program.error().message().find("matches no text") == std::string::npos) continue;
      for (const Json& test : group.find("tests")->as_array())
        CHECK_FALSE(test.find("valid")->as_bool());
      continue;
    }
    for (const Json& test : group.find("tests")->as_array()) {
      const bool is_valid = test.find("valid")->as_bool();
      ++(is_valid ? counts.valid : counts.invalid);
      CAPTURE(test.find("description")->as_string());
      CAPTURE(write_json(*test.find("data")));
      const bool is_taken = takes(*program, *test.find("data"));
      CHECK(is_taken == is_valid);
      if (is_taken != is_valid) ++counts.wrong;
    }
  }
}

TEST_CASE("JSON-Schema-Test-Suite: what is valid is taken, what is not is refused") {
  const std::vector<std::string> files = {"additionalProperties",
                                          "allOf",
                                          "anchor",
                                          "anyOf",
                                          "boolean_schema",
                                          "const",
                                          "contains",
                                          "content",
                                          "default",
                                          "defs",
                                          "dependentRequired",
                                          "dependentSchemas",
                                          "dynamicRef",
                                          "enum",
                                          "exclusiveMaximum",
                                          "exclusiveMinimum",
                                          "if-then-else",
                                          "infinite-loop-detection",
                                          "items",
                                          "maxContains",
                                          "maxItems",
                                          "maxLength",
                                          "maxProperties",
                                          "maximum",
                                          "minContains",
                                          "minItems",
                                          "minLength",
                                          "minProperties",
                                          "minimum",
                                          "multipleOf",
                                          "not",
                                          "oneOf",
                                          "pattern",
                                          "patternProperties",
                                          "prefixItems",
                                          "properties",
                                          "propertyNames",
                                          "ref",
                                          "refRemote",
                                          "required",
                                          "type",
                                          "unevaluatedItems",
                                          "unevaluatedProperties",
                                          "uniqueItems",

                                          "optional/ecmascript-regex",
                                          "optional/non-bmp-regex",
                                          "optional/unknownKeyword",
                                          "optional/anchor",
                                          "optional/dynamicRef",
                                          "optional/id",
                                          "optional/no-schema",
                                          "optional/dependencies-compatibility"};
  const std::vector<std::string> old_files = {"additionalItems",
                                              "additionalProperties",
                                              "allOf",
                                              "anyOf",
                                              "boolean_schema",
                                              "const",
                                              "contains",
                                              "default",
                                              "definitions",
                                              "dependencies",
                                              "enum",
                                              "exclusiveMaximum",
                                              "exclusiveMinimum",
                                              "if-then-else",
                                              "infinite-loop-detection",
                                              "items",
                                              "maxItems",
                                              "maxLength",
                                              "maxProperties",
                                              "maximum",
                                              "minItems",
                                              "minLength",
                                              "minProperties",
                                              "minimum",
                                              "multipleOf",
                                              "not",
                                              "oneOf",
                                              "pattern",
                                              "patternProperties",
                                              "properties",
                                              "propertyNames",
                                              "ref",
                                              "refRemote",
                                              "required",
                                              "type",
                                              "uniqueItems"};
  for (const auto& [draft, list] : {std::pair("draft2020-12/", files), {"draft7/", old_files}}) {
    std::map<std::string, int> refused;
    Counts counts;
    for (const std::string& file : list) run_suite(draft + file, refused, counts);
    std::string why;
    for (const auto& [keyword, count] : refused) why += fmt::format(" {} ({})", keyword, count);
    fmt::print(
        "{}: {} schemas, {} refused, {} valid and {} invalid values, {} wrong; refused for:{}\n",
        draft, counts.schemas, counts.refused, counts.valid, counts.invalid, counts.wrong, why);
  }
}

Json parsed(std::string_view text) {
  auto value = parse_json(text);
  if (!value) MESSAGE(value.error().message());
  REQUIRE(value);
  return std::move(*value);
}

// A text of the grammar by chance, in which what closes something comes more often.
std::string some_text(const std::shared_ptr<const Program>& program, std::mt19937& random) {
  Reading reading(program);
  SituationId at = reading.begin();
  std::string text;
  constexpr std::string_view likely = "\"}],:0aE\\nu1 -.tfx";
  for (int step = 0; step < 600; ++step) {
    if (reading.places(at).empty() || (reading.may_end(at) && random() % 3 == 0)) break;
    SituationId next = dead;
    for (int attempt = 0; attempt < 4000 && next == dead; ++attempt) {
      const bool is_likely = random() % 4 != 0;
      const auto byte = static_cast<std::uint8_t>(
          is_likely ? static_cast<unsigned char>(likely[random() % likely.size()])
                    : random() % 256);
      next = reading.after(at, byte);
      if (next != dead) text += static_cast<char>(byte);
    }
    if (next == dead) return "";
    at = next;
  }
  return reading.may_end(at) ? text : "";
}

TEST_CASE("texts that come of a schema by chance are JSON and satisfy it") {
  const char* const schemas[] = {
      R"({"type": "object", "properties": {"a": {"type": "integer", "minimum": -17, "maximum": 230},
          "b": {"type": "string", "minLength": 2, "maxLength": 5}, "c": {"enum": ["x", 1, null, [1, 2], {"y": 1}]}},
          "required": ["b"], "additionalProperties": false})",
      R"({"type": "number", "minimum": 0.25, "exclusiveMaximum": 12.5})",
      R"({"type": "number", "exclusiveMinimum": -3.75, "maximum": -0.01})",
      R"({"type": "integer", "multipleOf": 7, "minimum": -100, "maximum": 1000})",
      R"({"type": "number", "multipleOf": 0.25})",
      R"({"type": "array", "prefixItems": [{"const": 1}, {"type": "string"}], "items": {"type": "boolean"}, "minItems": 1, "maxItems": 5})",
      R"({"type": "array", "items": {"enum": [1, 2, 3]}, "contains": {"const": 2}, "minContains": 2, "maxContains": 3, "maxItems": 8})",
      R"({"type": "object", "patternProperties": {"^a": {"type": "integer"}, "b$": {"maximum": 5}},
          "additionalProperties": {"type": "boolean"}, "propertyNames": {"maxLength": 4, "pattern": "^[ab\"]*$"}, "maxProperties": 3})",
      R"({"type": "string", "pattern": "^[a-c\"\\\\]+\\d$", "maxLength": 6})",
      R"({"type": "string", "format": "date-time"})",
      R"({"type": "string", "format": "ipv6"})",
      R"({"type": "string", "format": "email", "maxLength": 12})",
      R"({"type": "string", "format": "uri"})",
      R"({"oneOf": [{"type": "integer", "multipleOf": 3, "minimum": 0, "maximum": 40}, {"type": "string", "maxLength": 3}]})",
      R"({"oneOf": [{"minimum": 2, "type": "integer"}, {"type": "integer", "maximum": 9}]})",
      R"({"oneOf": [{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "null"}}, "additionalProperties": false},
          {"type": "object", "properties": {"a": {"type": "integer"}, "c": {"type": "boolean"}}, "additionalProperties": false}]})",
      R"({"type": "object", "properties": {"z": {"const": 1}}, "not": {"properties": {"k": true}, "additionalProperties": false}})",
      R"({"not": {"type": ["object", "array", "string"]}})",
      R"({"type": "string", "not": {"enum": ["a", "b", ""]}, "maxLength": 1})",
      R"({"type": "integer", "not": {"enum": [1, 10]}, "minimum": 0, "maximum": 12})",
      R"({"if": {"properties": {"k": {"const": 1}}, "required": ["k"]}, "then": {"required": ["x"]}, "else": {"required": ["z"]},
          "type": "object", "properties": {"k": {"enum": [1, 2]}, "x": {"type": "null"}, "z": {"type": "null"}}, "additionalProperties": false})",
      R"({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {"n": {"type": "integer"},
          "c": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}}, "required": ["n"], "additionalProperties": false}}})",
      R"({"allOf": [{"properties": {"a": {"minimum": 3}}}, {"properties": {"a": {"maximum": 6}, "b": true}}], "type": "object",
          "required": ["a"], "minProperties": 1, "maxProperties": 2, "dependentRequired": {"a": ["b"]}, "additionalProperties": false,
          "properties": {"a": {"type": "integer"}, "b": {"type": "null"}}})",
      R"({"type": ["string", "null"], "nullable": true, "maxLength": 3})",
      R"({"type": "object", "maxProperties": 2})",
      R"({"type": "array", "items": {"enum": ["a", "b", "c", 1, 1.0]}, "uniqueItems": true, "minItems": 2})",
      R"({"type": "array", "prefixItems": [{"type": "boolean"}, {"enum": [null, 1, true]}], "items": {"type": "boolean"},
          "uniqueItems": true, "maxItems": 3})",
      R"({"type": "array", "items": {"type": "string", "maxLength": 1, "pattern": "^[ab]*$"}, "uniqueItems": true, "minItems": 2})",
      R"({"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 11}, "uniqueItems": true, "minItems": 2})",
      R"({"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer", "maximum": 3, "minimum": 1}},
          "required": ["n"], "additionalProperties": false}, "uniqueItems": true, "minItems": 2, "maxItems": 3})",
      R"({"type": "array", "items": {"type": "array", "items": {"type": ["null", "integer"], "minimum": 0, "maximum": 2},
          "uniqueItems": true, "maxItems": 2}, "uniqueItems": true, "minItems": 2, "maxItems": 4})",
      "true"};
  std::mt19937 random(11);
  for (const char* const text : schemas) {
    CAPTURE(std::string(text));
    const Json schema = parsed(text);
    const auto program = compiled(schema);
    if (!program) MESSAGE(program.error().message());
    REQUIRE(program);
    auto document = Document::read(schema);
    REQUIRE(document);
    Checker checker(*document);
    int found = 0;
    for (int i = 0; i < 200 && found < 40; ++i) {
      const std::string made = some_text(*program, random);
      if (made.empty()) continue;
      ++found;
      CAPTURE(made);
      const auto value = parse_json(made);
      if (!value && value.error().message().find("twice") != std::string::npos) continue;
      REQUIRE(value);
      const auto allowed = checker.allows({&schema}, *value);
      REQUIRE(allowed);
      CHECK(*allowed == has_right_lists(**program, made));
    }
    CHECK(found > 0);
  }
}

TEST_CASE("uniqueItems of few values takes every list in which none comes twice, and no other") {
  const auto takes = [](const std::shared_ptr<const Program>& program, const std::string& text) {
    Reading reading(program);
    SituationId at = reading.begin();
    for (const char byte : text) {
      at = reading.after(at, static_cast<std::uint8_t>(byte));
      if (at == dead) return false;
    }
    return reading.may_end(at);
  };
  const auto of = [](std::string_view more) {
    return compiled(parsed(fmt::format(R"({{"type": "array", "uniqueItems": true{}}})", more)));
  };
  const auto letters = of(R"(, "items": {"enum": ["a", "b", "c", "d"]}, "maxItems": 3)");
  REQUIRE(letters);
  int taken = 0;
  for (int text = 0; text < 5 * 5 * 5 * 5; ++text) {
    std::string list;
    std::set<int> seen;
    bool is_unique = true, has_gap = false, is_over = false;
    int count = 0;
    for (int place = 0, left = text; place < 4; ++place, left /= 5) {
      const int letter = left % 5;  // 4: none
      if (letter == 4) is_over = true;
      if (letter == 4) continue;
      has_gap = has_gap || is_over;
      is_unique = is_unique && seen.insert(letter).second;
      list += fmt::format("{}\"{}\"", count++ == 0 ? "" : ", ", static_cast<char>('a' + letter));
    }
    if (has_gap) continue;
    CAPTURE(list);
    CHECK(takes(*letters, "[" + list + "]") == (is_unique && count <= 3));
    taken += is_unique && count <= 3;
  }
  CHECK(taken == 1 + 4 + 12 + 24);
  const struct {
    std::string more;
    bool is_counted_out;
  } rows[] = {
      {R"(, "items": {"type": "string"})", false},
      {R"(, "items": {"type": "string"}, "maxItems": 1)", true},
      {R"(, "items": {"type": ["boolean", "null"]})", true},
      {R"(, "items": {"anyOf": [{"const": "x"}, {"enum": [1, 2]}]}, "minItems": 3)", true},
      {R"(, "items": {"enum": [0,1,2,3,4,5,6,7,8,9]})", true},      // 1024 sets
      {R"(, "items": {"enum": [0,1,2,3,4,5,6,7,8,9,10]})", false},  // more
      {R"(, "items": {"enum": [0,1,2,3,4,5,6,7,8,9,10]}, "maxItems": 3)", true},
      {R"(, "items": {"enum": [1, 2]}, "contains": {"const": 1})", false},
      {R"(, "prefixItems": [{"type": "boolean"}], "items": false)", true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.more);
    const auto program = of(row.more);
    REQUIRE(program);
    CHECK((*program)->lists.empty() == row.is_counted_out);
  }
}

TEST_CASE("schemas that mean harm are refused in time, or cost little") {
  const auto nested = [](int depth, std::string_view open, std::string_view inner,
                         std::string_view close) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += open;
    text += inner;
    for (int i = 0; i < depth; ++i) text += close;
    return text;
  };
  const auto many = [](int count, auto one) {
    std::string text;
    for (int i = 0; i < count; ++i) text += (i == 0 ? "" : ",") + one(i);
    return text;
  };
  const auto number = [](int i) { return std::to_string(i); };
  const auto two = [](int i) {
    return fmt::format(R"({{"anyOf": [{{"minimum": {}}}, {{"maxLength": {}}}]}})", i, i);
  };
  const struct {
    std::string what, schema, says;  // "": it is taken
  } rows[] = {
      {"itself", R"({"$ref": "#"})", "refers to itself"},
      {"each other",
       R"({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}})",
       "refers to itself"},
      {"never ends", R"({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})",
       "matches no text"},
      {"another document", R"({"$ref": "http://example.com/a"})", "nothing is fetched"},
      {"a file", R"({"$ref": "file:///etc/passwd"})", "nothing is fetched"},
      {"nothing there", R"({"$ref": "#/$defs/a"})", "names nothing"},
      {"type is a number", R"({"type": 123})", "type"},
      {"an unknown type", R"({"type": "hiccup"})", "hiccup"},
      {"no schema", "123", "needs an object"},
      {"properties is a list", R"({"properties": []})", "properties"},
      {"a negative length", R"({"minLength": -1})", "minLength"},
      {"half a length", R"({"maxLength": 1.5})", "maxLength"},
      {"lengths that cross", R"({"type": "string", "minLength": 3, "maxLength": 2})",
       "matches no text"},
      {"a huge length", R"({"type": "string", "maxLength": 1000000000})", ""},
      {"a huge least length", R"({"type": "string", "minLength": 1000000000})", ""},
      {"huge lists", R"({"type": "array", "minItems": 1000000000, "maxItems": 2000000000})", ""},
      {"multiples of nothing", R"({"multipleOf": 0})", "multipleOf"},
      {"bounds that cross", R"({"type": "number", "minimum": 3, "maximum": 2})", "matches no text"},
      {"far bounds", R"({"minimum": -1e300, "maximum": 1e300})", ""},
      {"an unknown format", R"({"type": "string", "format": "quux"})", ""},
      {"deep schemas", nested(60, R"({"items":)", "true", "}"), ""},
      {"too deep schemas",
       nested(60, R"({"properties":{"a":)", nested(9, R"({"items":)", "true", "}"), "}}"), "deep"},
      {"many alternatives at once", R"({"allOf": [)" + many(20, two) + "]}", "combinations"},
      {"many properties",
       R"({"properties": {)" + many(2000, [](int i) { return fmt::format("\"p{}\": {{}}", i); }) +
           "}}",
       ""},
      {"too many properties",
       R"({"properties": {)" + many(2049, [](int i) { return fmt::format("\"p{}\": {{}}", i); }) +
           "}}",
       "of at most"},
      {"many values", R"({"enum": [)" + many(4096, number) + "]}", ""},
      {"too many values", R"({"enum": [)" + many(4097, number) + "]}", "of at most"},
      {"a large pattern", R"({"pattern": "^(a{900}b?){900}$", "maxLength": 9})", "states"},
      {"patterns without end", R"({"type": "string", "pattern": "(a+)+b", "maxLength": 30})", ""},
      {"many patterns of keys",
       R"({"patternProperties": {)" +
           many(12, [](int i) { return fmt::format("\"a{}\": {{}}", i); }) + "}}",
       "patterns"},
      {"many that overlap",
       R"({"oneOf": [)" +
           many(40,
                [](int i) { return fmt::format(R"({{"type": "integer", "minimum": {}}})", i); }) +
           "]}",
       ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto schema = parse_json(row.schema, {.max_depth = 512});
    REQUIRE(schema);
    const auto begin = std::chrono::steady_clock::now();
    const auto program = compiled(*schema);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (std::getenv("HEARTH_SHOW_REFUSED"))
      fmt::print("{}: {:.1f} ms, {}\n", row.what, took.count() * 1e3,
                 program ? "taken" : program.error().message());
    if (!program) CAPTURE(program.error().message());
    CHECK(program.ok() == row.says.empty());
    if (!program) CHECK(program.error().message().find(row.says) != std::string::npos);
    CHECK(took.count() < 20);  // far above what it takes: sanitizers and busy machines are slow
  }
}

}  // namespace
}  // namespace hearth::grammar
