#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "text/grammar/grammar_test_support.h"
#include "text/grammar/schema/check.h"
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

bool takes(const std::shared_ptr<const Program>& program, const Json& value) {
  return std::ranges::any_of(orders_of(value), [&](const Json& order) {
    return matches(program, write_json(order)) &&
           matches(program, write_json(order, {.item_separator = ", ", .key_separator = ": "})) &&
           matches(program, write_json(order, {.indent = 2, .key_separator = ": "}));
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
    const auto program = compiled(*group.find("schema"));
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
                                          "vocabulary",
                                          "optional/ecmascript-regex",
                                          "optional/non-bmp-regex",
                                          "optional/unknownKeyword",
                                          "optional/anchor",
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

}  // namespace
}  // namespace hearth::grammar
