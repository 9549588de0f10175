// What requests ask of answers reaches the runner, in every interface; what cannot be held to is a
// 400.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include "server/running.h"

namespace hearth::server {
namespace {

const char* const think_template =
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if tools %}<tool_call>{{ tools | tojson }}{% endif %}assistant: <think></think>";

std::string body(std::string_view more) {
  return fmt::format(
      R"({{"model": "fake", "max_tokens": 4, "messages": [{{"role": "user", "content": "hi"}}]{}}})",
      more);
}

TEST_CASE("every interface's fields hold the answer") {
  Running running;
  const struct {
    std::string path, more;
    bool is_held;
  } rows[] = {
      {"/v1/chat/completions", "", false},
      {"/v1/chat/completions", R"(, "response_format": {"type": "text"})", false},
      {"/v1/chat/completions", R"(, "response_format": {"type": "json_object"})", true},
      {"/v1/chat/completions",
       R"(, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": false, "schema": {"type": "string"}}})",
       true},
      {"/v1/chat/completions", R"(, "grammar": "root ::= \"a\"", "response_format": null)", true},
      {"/v1/chat/completions", R"(, "structured_outputs": {"choice": ["a", "b"]})", true},
      {"/api/chat", R"(, "stream": false, "format": "json")", true},
      {"/api/chat", R"(, "stream": false, "format": {"type": "integer"}, "think": true)", true},
      {"/api/chat", R"(, "stream": false, "format": "")", false},
      {"/v1/messages",
       R"(, "output_config": {"format": {"type": "json_schema", "schema": {"type": "integer"}}})",
       true},
      {"/v1/messages",
       R"(, "output_format": {"type": "json_schema", "schema": {"type": "integer"}})", true},
      {"/v1/messages", R"(, "output_config": {"effort": "low"})", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    CAPTURE(row.more);
    running.json("POST", row.path, body(row.more));
    CHECK((running.runner().last().constraint != nullptr) == row.is_held);
  }
  running.json("POST", "/v1/completions",
               R"({"model": "fake", "prompt": "hi", "guided_regex": "a+"})");
  CHECK(running.runner().last().constraint != nullptr);
  running.json(
      "POST", "/api/generate",
      R"({"model": "fake", "prompt": "hi", "stream": false, "raw": true, "format": "json"})");
  CHECK(running.runner().last().constraint != nullptr);
}

TEST_CASE("what cannot be held to is a 400 that names field, place and keyword") {
  Running running({}, think_template);
  const struct {
    std::string path, more, says;
  } rows[] = {
      {"/v1/chat/completions",
       R"(, "response_format": {"type": "json_schema", "json_schema": {"schema": {"properties": {"a": {"not": {"uniqueItems": true}}}}}})",
       "#/properties/a/not: uniqueItems"},
      {"/v1/chat/completions", R"(, "response_format": {"type": "sound"})", "'response_format'"},
      {"/v1/chat/completions", R"(, "grammar": "root ::= root")",
       "'grammar': rule 'root' refers to itself"},
      {"/v1/chat/completions", R"(, "guided_regex": "(")", "'guided_regex'"},
      {"/v1/chat/completions", R"(, "guided_choice": ["a"], "grammar": "root ::= \"a\"")",
       "does not go with"},
      {"/v1/chat/completions",
       R"(, "response_format": {"type": "json_schema", "json_schema": {"schema": {"pattern": "\\bword"}}})",
       "border of a word"},
      {"/v1/chat/completions",
       R"(, "tools": [{"type": "function", "function": {"name": "f", "strict": true, "parameters": {"$ref": "http://example.com"}}}])",
       "tools[0] 'f'"},
      {"/api/chat", R"(, "format": {"type": 1})", "'format': #: type"},
      {"/v1/messages",
       R"(, "output_config": {"format": {"type": "json_schema", "schema": {"type": "x"}}})",
       "output_config.format"},
      {"/v1/messages", R"(, "output_config": {"format": {"type": "xml"}})", "output_config.format"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    CAPTURE(row.more);
    const auto answer = running.request("POST", row.path, body(row.more));
    CAPTURE(answer.body);
    CHECK(answer.status == 400);
    CHECK(has(answer.body, row.says));
  }
}

TEST_CASE("tools hold their calls, strict or not") {
  Running running({}, think_template);
  const std::string tool =
      R"(, "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}])";
  running.json("POST", "/v1/chat/completions", body(tool));
  CHECK(running.runner().last().constraint != nullptr);
  running.json("POST", "/v1/chat/completions", body(tool + R"(, "tool_choice": "required")"));
  CHECK(running.runner().last().constraint != nullptr);
  running.json("POST", "/v1/chat/completions", body(tool + R"(, "tool_choice": "none")"));
  CHECK(running.runner().last().constraint == nullptr);
}

}  // namespace
}  // namespace hearth::server
