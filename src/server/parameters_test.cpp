// Every field of a request: its type, its range, and the name in the refusal.
#include "server/parameters.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include "server/conversation.h"
#include "server/prompts.h"

using namespace hearth;
using namespace hearth::server;

namespace {

constexpr std::int32_t vocabulary = 1000;

Json parse(std::string_view text) {
  auto json = parse_json(text);
  REQUIRE(json);
  return std::move(*json);
}

// The field blamed; "" when the body is taken.
std::string blamed(const Json& body, Dialect dialect = Dialect::chat) {
  auto asked = read_parameters(body, dialect, vocabulary);
  if (asked.ok()) return "";
  CHECK(asked.error().status == 400);
  CHECK(asked.error().message.find(asked.error().param) != std::string::npos);
  return asked.error().param;
}
std::string blamed_text(std::string_view text, Dialect dialect = Dialect::chat) {
  return blamed(parse(text), dialect);
}
std::string blamed_in_chat(std::string_view text) {
  auto input = read_chat_input(parse(text));
  return input.ok() ? "" : input.error().param;
}
std::string text_of(std::size_t bytes) { return std::string(bytes, 'x'); }

}  // namespace

TEST_CASE("sampling fields: at their limits, beyond them, and of other types") {
  for (const SamplingField& field : sampling_fields()) {
    const std::string name(field.name);
    CAPTURE(name);
    const auto with = [&](Json value) { return Json::object({{name, std::move(value)}}); };
    const auto number = [&](double value) {
      return field.is_whole ? Json(static_cast<std::int64_t>(value)) : Json(value);
    };
    CHECK(blamed(with(number(field.range.min))) == (field.range.above_min ? name : ""));
    CHECK(blamed(with(number(field.range.max))) == "");
    CHECK(blamed(with(number(field.range.min - 1))) == name);
    CHECK(blamed(with(number(field.range.max + 1))) == name);
    CHECK(blamed(with(1e308)) == name);
    CHECK(blamed(with(-1e308)) == name);
    CHECK(blamed(with(Json())) == "");
    for (const std::string_view wrong : {"\"1\"", "\"NaN\"", "[1]", "{}", "true"})
      CHECK(blamed(with(parse(wrong))) == name);
    if (field.is_whole) CHECK(blamed(with(0.5)) == name);
    if (!field.is_whole) CHECK(blamed(with(field.range.max + 0.0001)) == name);
  }
}

TEST_CASE("fields of chat requests") {
  std::string biases = "{";
  for (int i = 0; i < 1024; ++i) biases += fmt::format("\"{}\":1,", i % vocabulary);
  const struct {
    std::string body, param;
  } rows[] = {
      {"{}", ""},
      {R"({"n": 1})", ""},
      {R"({"n": 8})", ""},
      {R"({"n": 0})", "n"},
      {R"({"n": 9})", "n"},
      {R"({"n": 1000000})", "n"},
      {R"({"n": 1.5})", "n"},
      {R"({"max_tokens": 1})", ""},
      {R"({"max_tokens": 0})", "max_tokens"},
      {R"({"max_tokens": -1})", "max_tokens"},
      {R"({"max_tokens": 2147483647})", ""},
      {R"({"max_tokens": 2147483648})", "max_tokens"},
      {R"({"max_tokens": 9223372036854775808})", "max_tokens"},
      {R"({"max_tokens": 1.5})", "max_tokens"},
      {R"({"max_tokens": "10"})", "max_tokens"},
      {R"({"max_completion_tokens": 0})", "max_completion_tokens"},
      {R"({"max_completion_tokens": 5, "max_tokens": 5})", ""},
      {R"({"max_completion_tokens": 5, "max_tokens": 6})", "max_completion_tokens"},
      {R"({"seed": -9223372036854775808})", ""},
      {R"({"seed": 18446744073709551616})", "seed"},
      {R"({"seed": 0.5})", "seed"},
      {R"({"stream": true})", ""},
      {R"({"stream": "true"})", "stream"},
      {R"({"stream": 1})", "stream"},
      {R"({"stream_options": {"include_usage": true, "other": 1}})", ""},
      {R"({"stream_options": {"include_usage": 1}})", "include_usage"},
      {R"({"stream_options": 1})", "stream_options"},
      {R"({"stop": "x"})", ""},
      {R"({"stop": []})", ""},
      {R"({"stop": ""})", "stop"},
      {R"({"stop": [""]})", "stop"},
      {R"({"stop": [1]})", "stop"},
      {R"({"stop": 1})", "stop"},
      {fmt::format(R"({{"stop": "{}"}})", text_of(256)), ""},
      {fmt::format(R"({{"stop": "{}"}})", text_of(257)), "stop"},
      {R"({"stop": ["1","2","3","4","5","6","7","8","9","a","b","c","d","e","f","g"]})", ""},
      {R"({"stop": ["1","2","3","4","5","6","7","8","9","a","b","c","d","e","f","g","h"]})",
       "stop"},
      {R"({"logit_bias": {"0": -100, "999": 100}})", ""},
      {R"({"logit_bias": {"1000": 1}})", "logit_bias"},
      {R"({"logit_bias": {"-1": 1}})", "logit_bias"},
      {R"({"logit_bias": {"abc": 1}})", "logit_bias"},
      {R"({"logit_bias": {"": 1}})", "logit_bias"},
      {R"({"logit_bias": {"1": 100.1}})", "logit_bias"},
      {R"({"logit_bias": {"1": -1e9}})", "logit_bias"},
      {R"({"logit_bias": {"1": "1"}})", "logit_bias"},
      {R"({"logit_bias": [1]})", "logit_bias"},
      {R"({"logprobs": true})", ""},
      {R"({"logprobs": true, "top_logprobs": 20})", ""},
      {R"({"logprobs": true, "top_logprobs": 21})", "top_logprobs"},
      {R"({"logprobs": true, "top_logprobs": -1})", "top_logprobs"},
      {R"({"logprobs": 5})", "logprobs"},
      {R"({"top_logprobs": 1})", "top_logprobs"},
      {R"({"response_format": {"type": "text"}})", ""},
      {R"({"response_format": {"type": "json_object"}})", ""},
      {R"({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}})", ""},
      {R"({"response_format": {"type": "json_schema", "json_schema": {"schema": 123}}})",
       "response_format"},
      {R"({"response_format": {"type": "regex", "value": "a+"}})", ""},
      {R"({"grammar": "root ::= \"a\""})", ""},
      {R"({"grammar": 1})", "grammar"},
      {R"({"json_schema": {"type": "string"}})", ""},
      {R"({"guided_choice": ["a", "b"]})", ""},
      {R"({"guided_choice": []})", "guided_choice"},
      {R"({"guided_choice": [1]})", "guided_choice"},
      {R"({"guided_regex": "a", "grammar": "root ::= \"a\""})", "guided_regex"},
      {R"({"guided_json": "{}"})", ""},
      {R"({"guided_json": "{"})", "guided_json"},
      {R"({"structured_outputs": {"choice": ["a"]}})", ""},
      {R"({"structured_outputs": {"nothing": 1}})", "structured_outputs"},
      {R"({"response_format": {"type": "json_schema"}})", "response_format"},
      {R"({"response_format": {"type": "sound"}})", "response_format"},
      {R"({"response_format": {}})", "response_format"},
      {R"({"response_format": "json"})", "response_format"},
      {R"({"functions": []})", "functions"},
      {R"({"modalities": ["text"]})", ""},
      {R"({"modalities": ["audio"]})", "modalities"},
      {R"({"user": "u", "metadata": {"a": "b"}, "store": true, "invented": [1]})", ""},
      {R"({"reasoning_effort": "high", "prompt_cache_key": "k", "prediction": {}})", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.body);
    CHECK(blamed_text(row.body) == row.param);
  }
  std::string keys;
  for (int i = 0; i < 1025; ++i) keys += fmt::format("{}\"{}\":1", i ? "," : "", 100000 + i);
  CHECK(blamed_text("{\"logit_bias\":{" + keys + "}}") == "logit_bias");
}

TEST_CASE("fields of completion requests") {
  const struct {
    std::string body, param;
  } rows[] = {
      {R"({"logprobs": 0})", ""},
      {R"({"logprobs": 20})", ""},
      {R"({"logprobs": 21})", "logprobs"},
      {R"({"logprobs": true})", "logprobs"},
      {R"({"best_of": 8, "n": 2})", ""},
      {R"({"best_of": 9})", "best_of"},
      {R"({"best_of": 1, "n": 2})", "best_of"},
      {R"({"best_of": 2, "stream": true})", "best_of"},
      {R"({"echo": 1})", "echo"},
      {R"({"max_tokens": 0})", "max_tokens"},
      {R"({"max_tokens": 0, "echo": true})", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.body);
    CHECK(blamed_text(row.body, Dialect::completion) == row.param);
  }
}

TEST_CASE("what is asked reaches the runner's request") {
  const Json body =
      parse(R"({"temperature": 0.5, "top_p": 0.9, "top_k": -1, "min_p": 0.1, "seed": 7,
      "stop": ["a"], "logit_bias": {"3": -100}, "max_completion_tokens": 9, "n": 2, "stream": true,
      "stream_options": {"include_usage": true}, "logprobs": true, "top_logprobs": 4,
      "ignore_eos": true, "frequency_penalty": -2, "repeat_penalty": 1.5})");
  const auto read = read_parameters(body, Dialect::chat, vocabulary);
  REQUIRE(read.ok());
  const Asked& asked = read.value();
  CHECK(asked.generate.sampling.temperature == 0.5f);
  CHECK(asked.generate.sampling.top_p == 0.9f);
  CHECK(asked.generate.sampling.top_k == 0);
  CHECK(asked.generate.sampling.min_p == 0.1f);
  CHECK(asked.generate.sampling.seed == 7);
  CHECK(asked.generate.sampling.frequency_penalty == -2);
  CHECK(asked.generate.sampling.repetition_penalty == 1.5f);
  CHECK(asked.generate.sampling.logit_bias == std::map<Token, float>{{3, -100.0f}});
  CHECK(asked.generate.stop == std::vector<std::string>{"a"});
  CHECK(asked.generate.ignore_end);
  CHECK(asked.generate.logprobs);
  CHECK(asked.generate.top_logprobs == 4);
  CHECK(asked.generate.n == 2);
  CHECK(*asked.max_tokens == 9);
  CHECK(asked.stream);
  CHECK(asked.include_usage);
}

TEST_CASE("messages") {
  const struct {
    std::string body, param;
  } rows[] = {
      {R"({"messages": [{"role": "user", "content": "x"}]})", ""},
      {R"({"messages": [{"role": "developer", "content": "x"}]})", ""},
      {R"({"messages": [{"role": "system", "content": "x"}, {"role": "system", "content": "y"}]})",
       ""},
      {R"({"messages": [{"role": "assistant", "content": null}]})", ""},
      {R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]})", ""},
      {R"({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]})", ""},
      {"{}", "messages"},
      {R"({"messages": []})", "messages"},
      {R"({"messages": "x"})", "messages"},
      {R"({"messages": ["x"]})", "messages[0]"},
      {R"({"messages": [{"role": "king", "content": "x"}]})", "messages[0].role"},
      {R"({"messages": [{"content": "x"}]})", "messages[0].role"},
      {R"({"messages": [{"role": "user"}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": null}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": 5}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": [[]]}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": [{"type": "text"}]}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})",
       "messages[0].content"},
      {R"({"messages": [{"role": "tool", "content": "x"}]})", "messages[0].tool_call_id"},
      {R"({"messages": [{"role": "user", "content": "x", "name": "a\nb"}]})", "messages[0].name"},
      {R"({"messages": [{"role": "assistant", "tool_calls": [{}]}]})", "messages[0].tool_calls"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.body);
    CHECK(blamed_in_chat(row.body) == row.param);
  }
  std::string many = R"({"messages": [)";
  for (int i = 0; i < 4096; ++i) many += R"({"role":"user","content":"x"},)";
  CHECK(blamed_in_chat(many.substr(0, many.size() - 1) + "]}") == "");
  CHECK(blamed_in_chat(many + R"({"role":"user","content":"x"}]})") == "messages");
  const auto parts = read_chat_input(parse(
      R"({"messages": [{"role": "developer", "content": [{"type": "text", "text": "a"},
          {"type": "text", "text": "b"}]}]})"));
  REQUIRE(parts.ok());
  CHECK(parts.value().messages.as_array()[0] ==
        Json::object({{"role", "system"}, {"content", "ab"}}));
}

TEST_CASE("tools") {
  const auto tool = [](std::string_view name) {
    return fmt::format(R"({{"type":"function","function":{{"name":"{}","parameters":{{}}}}}})",
                       name);
  };
  const auto with = [](std::string_view tools, std::string_view more = "") {
    return fmt::format(R"({{"messages":[{{"role":"user","content":"x"}}],"tools":[{}]{}}})", tools,
                       more);
  };
  std::string many;
  for (int i = 0; i < 128; ++i) many += (i ? "," : "") + tool(fmt::format("f{}", i));
  CHECK(blamed_in_chat(with(tool("a-b_C9"))) == "");
  CHECK(blamed_in_chat(with(many)) == "");
  CHECK(blamed_in_chat(with(many + "," + tool("f128"))) == "tools");
  CHECK(blamed_in_chat(with(tool(text_of(64)))) == "");
  for (const std::string& name :
       {text_of(65), std::string("a b"), std::string("../x"), std::string()}) {
    CAPTURE(name);
    CHECK(blamed_in_chat(with(tool(name))) == "tools");
  }
  CHECK(blamed_in_chat(with(tool("a") + "," + tool("a"))) == "tools");
  CHECK(blamed_in_chat(with(R"({"type":"function"})")) == "tools");
  CHECK(blamed_in_chat(with(R"({"function":{}})")) == "tools");
  CHECK(blamed_in_chat(with(
            fmt::format(R"({{"type":"function","function":{{"name":"a","description":"{}"}}}})",
                        text_of(256 << 10)))) == "tools");
  CHECK(blamed_in_chat(with(tool("a"), R"(,"tool_choice":"auto")")) == "");
  CHECK(blamed_in_chat(with(tool("a"), R"(,"tool_choice":"required")")) == "");
  CHECK(blamed_in_chat(with(tool("a"), R"(,"tool_choice":{"type":"function"})")) == "tool_choice");
  CHECK(blamed_in_chat(with(tool("a"), R"(,"tool_choice":"x")")) == "tool_choice");

  auto none = read_chat_input(parse(with(tool("a"), R"(,"tool_choice":"none")")));
  REQUIRE(none.ok());
  CHECK(none.value().tools.is_null());
  auto vendor = read_chat_input(parse(with(R"({"type":"web_search"},)" + tool("a"))));
  REQUIRE(vendor.ok());
  CHECK(vendor.value().tools.size() == 1);
  CHECK(!vendor.value().warning.empty());
}

TEST_CASE("prompts and inputs") {
  const struct {
    std::string body;
    int count;  // -1: refused
  } rows[] = {
      {R"({"p": "x"})", 1},
      {R"({"p": ["x", "y"]})", 2},
      {R"({"p": [1, 2, 3]})", 1},
      {R"({"p": [[1], [2, 3]]})", 2},
      {R"({"p": [[1], "x"]})", 2},
      {R"({"p": ["1","2","3","4"]})", 4},
      {R"({"p": ["1","2","3","4","5"]})", -1},
      {R"({})", -1},
      {R"({"p": null})", -1},
      {R"({"p": []})", -1},
      {R"({"p": 5})", -1},
      {R"({"p": {}})", -1},
      {R"({"p": [-1]})", -1},
      {R"({"p": [999]})", 1},
      {R"({"p": [1000]})", -1},
      {R"({"p": [2147483648]})", -1},
      {R"({"p": [1, "x"]})", -1},
      {R"({"p": [[]]})", -1},
      {R"({"p": [1.5]})", -1},
      {R"({"p": [["x"]]})", -1},
      {R"({"p": [true]})", -1},
  };
  for (const auto& row : rows) {
    CAPTURE(row.body);
    auto prompts = read_prompts(parse(row.body), "p", 4, vocabulary);
    CHECK((prompts.ok() ? static_cast<int>(prompts.value().size()) : -1) == row.count);
    if (!prompts.ok()) CHECK(prompts.error().param.starts_with("p"));
  }
}

TEST_CASE("bodies that are no JSON objects") {
  for (const std::string_view text :
       {"", " ", "null", "[]", "\"x\"", "5", "{", "{\"a\":1,}", "{\"a\":1}{}", "{\"a\":1,\"a\":2}",
        "{\"a\":NaN}", "{\"a\":01}", "{\"a\":1e400}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\xff\"}",
        "\xef\xbb\xbf{}", "// c\n{}"}) {
    CAPTURE(std::string(text));
    auto body = parse_body(text);
    REQUIRE(!body.ok());
    CHECK(body.error().status == 400);
    CHECK(body.error().code == "invalid_json");
  }
  CHECK(!parse_body(std::string(1000000, '[')).ok());
  CHECK(parse_body("{\"a\": \"\\u0000\"}").ok());
}
