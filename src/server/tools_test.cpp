// Tools and thoughts in every interface.
#include <doctest/doctest.h>

#include <algorithm>

#include "server/running.h"

using namespace hearth;
using namespace hearth::server;

namespace {

constexpr std::string_view script =
    "say((<think>hm</think>Look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
    "\"Oslo\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"time\", \"arguments\": "
    "{}}\n</tool_call>))";

Json parsed(std::string_view text) {
  auto value = parse_json(text);
  REQUIRE(value);
  return std::move(*value);
}

Json schema() { return parsed(R"({"type":"object","properties":{"city":{"type":"string"}}})"); }

Json openai_tools() {
  Json list = Json::array();
  for (const char* name : {"weather", "time"})
    list.push_back(Json::object(
        {{"type", "function"},
         {"function",
          Json::object({{"name", name}, {"description", "d"}, {"parameters", schema()}})}}));
  return list;
}

Json anthropic_tools() {
  Json list = Json::array();
  for (const char* name : {"weather", "time"})
    list.push_back(
        Json::object({{"name", name}, {"description", "d"}, {"input_schema", schema()}}));
  return list;
}

Json ask(Json tools, std::string_view content = script) {
  return Json::object(
      {{"model", "fake"},
       {"max_tokens", 500},
       {"tools", std::move(tools)},
       {"messages", Json(Json::Array{Json::object({{"role", "user"}, {"content", content}})})}});
}

Json with(Json body, const char* name, Json value) {
  body.set(name, std::move(value));
  return body;
}

// The objects behind `mark`, one to a line.
std::vector<Json> objects_of(std::string_view body, std::string_view mark) {
  std::vector<Json> objects;
  while (!body.empty()) {
    std::string_view line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(body.size(), line.size() + 1));
    if (!line.starts_with(mark) || line.size() == mark.size() || has(line, "[DONE]")) continue;
    objects.push_back(parsed(line.substr(mark.size())));
  }
  return objects;
}

std::vector<Json> stream(Running& running, std::string_view path, const Json& body,
                         std::string_view mark) {
  return objects_of(running.request("POST", path, write_json(with(body, "stream", true))).body,
                    mark);
}

std::string text(const Json& value) { return value.is_string() ? value.as_string() : ""; }

}  // namespace

TEST_CASE("chat completions: calls and thoughts, streamed or not") {
  Running running({}, hermes_template);
  const Json body = ask(openai_tools());
  const Json whole = running.json("POST", "/v1/chat/completions", write_json(body));
  const Json message = at(whole, "choices.0.message");
  CHECK(at(message, "content") == Json("Look."));
  CHECK(at(message, "reasoning_content") == Json("hm"));
  CHECK(at(message, "tool_calls").size() == 2);
  CHECK(at(message, "tool_calls.0.function.name") == Json("weather"));
  CHECK(at(message, "tool_calls.0.function.arguments") == Json("{\"city\": \"Oslo\"}"));
  CHECK(at(message, "tool_calls.0.type") == Json("function"));
  CHECK(text(at(message, "tool_calls.1.id")).starts_with("call_"));
  CHECK(at(whole, "choices.0.finish_reason") == Json("tool_calls"));
  CHECK(at(whole, "usage.completion_tokens_details.reasoning_tokens").as_integer() > 0);

  std::string said, thought, names, arguments[2];
  int begun = 0;
  for (const Json& chunk : stream(running, "/v1/chat/completions", body, "data: ")) {
    const Json delta = at(chunk, "choices.0.delta");
    said += text(at(delta, "content"));
    thought += text(at(delta, "reasoning_content"));
    if (!delta.find("tool_calls")) continue;
    const auto index = static_cast<std::size_t>(at(delta, "tool_calls.0.index").as_integer());
    begun += at(delta, "tool_calls.0.id").is_string();
    names += text(at(delta, "tool_calls.0.function.name"));
    arguments[index] += text(at(delta, "tool_calls.0.function.arguments"));
  }
  CHECK(said == "Look.");
  CHECK(thought == "hm");
  CHECK(begun == 2);
  CHECK(names == "weathertime");
  CHECK(arguments[0] == "{\"city\": \"Oslo\"}");
  CHECK(arguments[1] == "{}");

  const Json single = running.json("POST", "/v1/chat/completions",
                                   write_json(with(body, "parallel_tool_calls", false)));
  CHECK(at(single, "choices.0.message.tool_calls").size() == 1);
  const Json none =
      running.json("POST", "/v1/chat/completions", write_json(with(body, "tool_choice", "none")));
  CHECK(at(none, "choices.0.message.tool_calls").is_null());
  CHECK(has(text(at(none, "choices.0.message.content")), "<tool_call>"));
}

TEST_CASE("Ollama: calls and thoughts, streamed or not") {
  Running running({}, hermes_template);
  const Json body = ask(openai_tools());
  const Json whole = running.json("POST", "/api/chat", write_json(with(body, "stream", false)));
  CHECK(at(whole, "message.content") == Json("Look."));
  CHECK(at(whole, "message.thinking") == Json("hm"));
  CHECK(at(whole, "message.tool_calls.0.function.arguments.city") == Json("Oslo"));
  CHECK(at(whole, "done_reason") == Json("stop"));
  std::string said, thought, names;
  for (const Json& line : stream(running, "/api/chat", body, "")) {
    said += text(at(line, "message.content"));
    thought += text(at(line, "message.thinking"));
    if (at(line, "message.tool_calls.0.function.arguments").is_object())
      names += text(at(line, "message.tool_calls.0.function.name"));
  }
  CHECK(said == "Look.");
  CHECK(thought == "hm");
  CHECK(names == "weathertime");
  CHECK(has(running.request("GET", "/api/tags").body,
            R"("capabilities":["completion","tools","thinking","insert"])"));
}

TEST_CASE("Anthropic: calls and thoughts, streamed or not") {
  Running running({}, hermes_template);
  const Json body = ask(anthropic_tools());
  const Json whole = running.json("POST", "/v1/messages", write_json(body));
  CHECK(at(whole, "content.0.thinking") == Json("hm"));
  CHECK(at(whole, "content.1.text") == Json("Look."));
  CHECK(at(whole, "content.2.type") == Json("tool_use"));
  CHECK(at(whole, "content.2.input.city") == Json("Oslo"));
  CHECK(at(whole, "content.3.input").is_object());
  CHECK(text(at(whole, "content.3.id")).starts_with("toolu_"));
  CHECK(at(whole, "stop_reason") == Json("tool_use"));
  std::string types, arguments, kinds;
  for (const Json& event : stream(running, "/v1/messages", body, "data: ")) {
    types += text(at(event, "content_block.type")) + (event.find("content_block") ? " " : "");
    const std::string kind = text(at(event, "delta.type"));
    if (!kind.empty() && !has(kinds, kind)) kinds += kind + " ";
    if (at(event, "index") == Json(2)) arguments += text(at(event, "delta.partial_json"));
  }
  CHECK(types == "thinking text tool_use tool_use ");
  CHECK(kinds == "thinking_delta signature_delta text_delta input_json_delta ");
  CHECK(arguments == "{\"city\": \"Oslo\"}");
  const Json dropped = running.json(
      "POST", "/v1/messages",
      R"({"model":"fake","max_tokens":1,"tools":[{"type":"web_search_20250305","name":"web_search"}],
"messages":[{"role":"user","content":"x"}]})");
  CHECK(at(dropped, "type") == Json("message"));
}

TEST_CASE("the same conversation is the same prompt in every interface") {
  Running running({}, hermes_template);
  const Json openai = with(ask(openai_tools()), "messages", parsed(R"([
{"role":"system","content":"Be kind."},{"role":"user","content":"Weather?"},
{"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[{"id":"call_0",
"type":"function","function":{"name":"weather","arguments":"{\"city\": \"Oslo\"}"}}]},
{"role":"tool","tool_call_id":"call_0","content":"rain"},{"role":"user","content":"Thanks"}])"));
  const Json ollama = with(ask(openai_tools()), "messages", parsed(R"([
{"role":"system","content":"Be kind."},{"role":"user","content":"Weather?"},
{"role":"assistant","content":"","thinking":"hm","tool_calls":[{"function":{"name":"weather",
"arguments":{"city":"Oslo"}}}]},
{"role":"tool","tool_name":"weather","content":"rain"},{"role":"user","content":"Thanks"}])"));
  const Json anthropic = with(with(ask(anthropic_tools()), "system", "Be kind."), "messages",
                              parsed(R"([{"role":"user","content":"Weather?"},
{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},
{"type":"tool_use","id":"toolu_1","name":"weather","input":{"city":"Oslo"}}]},
{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text",
"text":"rain"}]},{"type":"text","text":"Thanks"}]}])"));
  running.json("POST", "/v1/chat/completions", write_json(openai));
  const auto want = running.runner().last().prompt;
  const std::string prompt = running.generator->model().tokenizer().decode(want, true);
  CHECK(has(prompt,
            "<|assistant|><think>hm</think><tool_call>{\"name\": \"weather\", "
            "\"arguments\": {\"city\": \"Oslo\"}}</tool_call><|tool|>rain by weather"
            "<|user|>Thanks<|assistant|>"));
  running.json("POST", "/api/chat", write_json(with(ollama, "stream", false)));
  CHECK(running.runner().last().prompt == want);
  running.json("POST", "/v1/messages", write_json(anthropic));
  CHECK(running.runner().last().prompt == want);
  // A result that failed says so.
  Json failed = anthropic;
  failed.find("messages")->as_array()[2].find("content")->as_array()[0].set("is_error", true);
  running.json("POST", "/v1/messages", write_json(failed));
  CHECK(has(running.generator->model().tokenizer().decode(running.runner().last().prompt, true),
            "<|tool|>Error: rain"));
}

TEST_CASE("a call can be forced, and only of a tool that is there") {
  Running running({}, hermes_template);
  const Json any = running.json(
      "POST", "/v1/chat/completions",
      write_json(with(ask(openai_tools(), "say((time\", \"arguments\": {}}</tool_call>))"),
                      "tool_choice", "required")));
  CHECK(at(any, "choices.0.message.tool_calls.0.function.name") == Json("time"));
  const Json choice = parsed(R"({"type":"tool","name":"weather"})");
  const Json named = running.json(
      "POST", "/v1/messages",
      write_json(with(ask(anthropic_tools(), "say(({\"city\": \"Rome\"}}</tool_call>))"),
                      "tool_choice", choice)));
  CHECK(at(named, "content.0.name") == Json("weather"));
  CHECK(at(named, "content.0.input.city") == Json("Rome"));
  const Json absent = parsed(R"({"type":"function","function":{"name":"nobody"}})");
  CHECK(running
            .request("POST", "/v1/chat/completions",
                     write_json(with(ask(openai_tools()), "tool_choice", absent)))
            .status == 400);
}

TEST_CASE("tools of a model whose template knows none are refused, by name") {
  Running running;
  for (const std::string_view path : {"/v1/chat/completions", "/api/chat", "/v1/messages"}) {
    CAPTURE(path);
    const Json body = ask(path == "/v1/messages" ? anthropic_tools() : openai_tools());
    const auto answer = running.request("POST", path, write_json(body));
    CHECK(answer.status == 400);
    CHECK(has(answer.body, "does not support tools"));
  }
}

TEST_CASE("control tokens in what users and tools say stay text") {
  LibraryOptions options;
  options.threads = 1;
  auto library = Library::create(options);
  REQUIRE(library);
  const auto lease = (*library)->acquire(std::string(builtin_chat));
  REQUIRE(lease);
  const Tokenizer& tokenizer = (*lease)->model().tokenizer();
  std::string all;
  for (Token token = 0; token < tokenizer.size(); ++token)
    if (tokenizer.kind(token) == TokenKind::control) all += tokenizer.name(token);
  REQUIRE(!all.empty());
  const auto controls = [&](const std::string& said) {
    Json messages = Json::array();
    for (const char* role : {"system", "user", "assistant", "user"})
      messages.push_back(Json::object({{"role", role}, {"content", said}}));
    const auto prompt = chat_prompt((*lease)->model(), messages);
    REQUIRE(prompt);
    return std::ranges::count_if(
        prompt->tokens, [&](Token token) { return tokenizer.kind(token) == TokenKind::control; });
  };
  CHECK(controls("x" + all) == controls("x"));
}
