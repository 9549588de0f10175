// The same conversation through every interface gives the same tokens, streamed or not.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <thread>

#include "server/running.h"
#include "server/scripted.h"

using namespace hearth;
using namespace hearth::server;

namespace {

constexpr std::string_view sea = "The sea is \xE2\x89\x88 70 % of it; \"deep\" \\ and wide.";
constexpr std::string_view tool_call =
    "Look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
    "\"Oslo\"}}\n</tool_call>";

// The scripted model on a socket.
class Scripted {
 public:
  Scripted() {
    ScriptedOptions options;
    options.script = {{{"weather", "<tools>"}, {}, std::string(tool_call)},
                      {{}, {}, std::string(sea)}};
    auto lease = scripted_lease("scripted", std::move(options));
    REQUIRE(lease);
    ServerConfig config;
    config.port = 0;
    auto created = ApiServer::create(config, {*lease});
    REQUIRE(created);
    server_ = std::move(*created);
    thread_ = std::jthread([this] { server_->run(); });
  }
  ~Scripted() {
    server_->stop();
    server_->stop();
  }
  std::string ask(std::string_view path, std::string_view body) {
    http::TestClient client(server_->port());
    client.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
                            path, body.size(), body));
    auto answer = client.read_answer();
    CAPTURE(answer.body);
    CHECK(answer.status == 200);
    return answer.body;
  }

 private:
  std::unique_ptr<ApiServer> server_;
  std::jthread thread_;
};

// Of every object in a stream of events or lines, the text at one of these places, joined.
std::string joined(std::string_view body, std::initializer_list<const char*> places) {
  std::string text;
  while (!body.empty()) {
    std::string_view line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(body.size(), line.size() + 1));
    if (line.starts_with("data: ")) line.remove_prefix(6);
    const auto json = parse_json(line);
    if (!json || !json->is_object()) continue;
    const Json type = at(*json, "type");
    if (type.is_string() && !has(type.as_string(), "delta")) continue;
    for (const char* place : places)
      if (const Json piece = at(*json, place); piece.is_string()) text += piece.as_string();
  }
  return text;
}

struct Dialect {
  std::string_view path, body;  // the body without its end, and what is asked before it
  const char* whole;
  std::initializer_list<const char*> streamed;
};

const Dialect dialects[] = {
    {"/v1/chat/completions",
     R"({"model":"scripted","messages":[{"role":"system","content":"S"},{"role":"user","content":"Q"}])",
     "choices.0.message.content",
     {"choices.0.delta.content"}},
    {"/v1/messages",
     R"({"model":"scripted","max_tokens":500,"system":"S","messages":[{"role":"user","content":"Q"}])",
     "content.0.text",
     {"delta.text"}},
    {"/api/chat",
     R"({"model":"scripted","messages":[{"role":"system","content":"S"},{"role":"user","content":"Q"}])",
     "message.content",
     {"message.content"}},
    {"/v1/responses",
     R"({"model":"scripted","instructions":"S","input":[{"role":"user","content":"Q"}])",
     "output.0.content.0.text",
     {"delta"}},
    {"/api/generate", R"({"model":"scripted","system":"S","prompt":"Q")", "response", {"response"}},
};

}  // namespace

TEST_CASE("the same conversation through every interface") {
  Scripted scripted;
  std::vector<Json> prompts;
  for (const Dialect& row : dialects) {
    CAPTURE(std::string(row.path));
    const std::string plain = scripted.ask(row.path, std::string(row.body) + ",\"stream\":false}");
    const auto json = parse_json(plain);
    REQUIRE(json);
    CHECK(at(*json, row.whole) == Json(sea));
    for (const char* place : {"usage.prompt_tokens", "usage.input_tokens", "prompt_eval_count"})
      if (Json count = at(*json, place); count.is_integer()) prompts.push_back(std::move(count));
    // Anthropic counts what the cache held apart.
    if (const Json cached = at(*json, "usage.cache_read_input_tokens"); cached.is_integer())
      prompts.back() = prompts.back().as_integer() + cached.as_integer();
    const std::string streamed =
        scripted.ask(row.path, std::string(row.body) + ",\"stream\":true}");
    CHECK(joined(streamed, row.streamed) == sea);
  }
  REQUIRE(prompts.size() == std::size(dialects));
  for (const Json& count : prompts) CHECK(count == prompts.front());
}

TEST_CASE("a call of a tool through every interface, held to its schema") {
  Scripted scripted;
  const char* schema =
      R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]})";
  const std::string ask = R"("messages":[{"role":"user","content":"the weather?"}])";
  const std::string function = fmt::format(
      R"("tools":[{{"type":"function","function":{{"name":"weather","parameters":{}}}}}])", schema);
  const struct {
    std::string_view path;
    std::string body;
    const char *name, *arguments;
  } rows[] = {
      {"/v1/chat/completions", fmt::format(R"({{"model":"scripted",{},{}}})", ask, function),
       "choices.0.message.tool_calls.0.function.name",
       "choices.0.message.tool_calls.0.function.arguments"},
      {"/v1/messages",
       fmt::format(
           R"({{"model":"scripted","max_tokens":500,{},"tools":[{{"name":"weather","input_schema":{}}}]}})",
           ask, schema),
       "content.1.name", "content.1.input"},
      {"/api/chat", fmt::format(R"({{"model":"scripted","stream":false,{},{}}})", ask, function),
       "message.tool_calls.0.function.name", "message.tool_calls.0.function.arguments"},
      {"/v1/responses",
       fmt::format(
           R"({{"model":"scripted","input":"the weather?","tools":[{{"type":"function","name":"weather","parameters":{}}}]}})",
           schema),
       "output.1.name", "output.1.arguments"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.path));
    const auto json = parse_json(scripted.ask(row.path, row.body));
    REQUIRE(json);
    CHECK(at(*json, row.name) == Json("weather"));
    Json arguments = at(*json, row.arguments);
    if (arguments.is_string()) arguments = *parse_json(arguments.as_string());
    CHECK(arguments == Json::object({{"city", "Oslo"}}));
  }
}

TEST_CASE("marks of control in what people and tools say stay text") {
  Scripted scripted;
  const auto tokens = [&](std::string_view content) {
    const auto json = parse_json(scripted.ask(
        chat_path,
        fmt::format(
            R"({{"model":"scripted","messages":[{{"role":"user","content":"q"}},{{"role":"assistant","content":null,"tool_calls":[{{"id":"1","type":"function","function":{{"name":"t","arguments":"{{}}"}}}}]}},{{"role":"tool","tool_call_id":"1","content":"{}"}}],"tools":[{{"type":"function","function":{{"name":"t"}}}}]}})",
            content)));
    return at(*json, "usage.prompt_tokens").as_integer();
  };
  // A byte a token: twelve more bytes are twelve more tokens, and no mark is one.
  CHECK(tokens("x<|im_start|>") == tokens("x") + 12);
}
