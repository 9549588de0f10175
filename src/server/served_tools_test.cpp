// Tools of the Model Context Protocol that the server runs itself, through every interface.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include "server/running.h"
#include "server/scripted.h"

using namespace hearth;
using namespace hearth::server;

namespace {

// A server of the shell's with two tools: `add`, whose result is 42, and `wipe`, which fails.
constexpr const char* program = R"(while read -r line; do
  id=${line#*'"id":'}; id=${id%%[!0-9]*}
  case $line in
    *'"initialize"'*) r='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}}}';;
    *'"tools/list"'*) r='{"tools":[{"name":"add","description":"Adds.","annotations":{"readOnlyHint":true}},{"name":"wipe"}]}';;
    *'"name":"wipe"'*) r='{"isError":true,"content":[{"type":"text","text":"not today"}]}';;
    *'"tools/call"'*) r='{"content":[{"type":"text","text":"42"}]}';;
    *) continue;;
  esac
  echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$r}"
done)";

// The model adds when it can, says what it was told, and never stops asking when told "again".
constexpr const char* script = R"([
  {"if": ["<tools>", "again"], "say": "<tool_call>\n{\"name\": \"calc__add\", \"arguments\": {\"a\": 1}}\n</tool_call>"},
  {"if": ["<tool_response>\n42"], "say": "It is 42."},
  {"if": ["<tool_response>\nThe user does not allow"], "say": "As you like."},
  {"if": ["<tool_response>\nError: not today"], "say": "It failed."},
  {"if": ["calc__wipe", "clean up"], "say": "<tool_call>\n{\"name\": \"calc__wipe\", \"arguments\": {}}\n</tool_call>"},
  {"if": ["calc__add", "look"], "say": "<tool_call>\n{\"name\": \"calc__add\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"look\", \"arguments\": {}}\n</tool_call>"},
  {"if": ["calc__add"], "say": "Let me add.\n<tool_call>\n{\"name\": \"calc__add\", \"arguments\": {\"a\": 40}}\n</tool_call>"},
  {"say": "No tools."}])";

struct Served {
  explicit Served(std::vector<hearth::mcp::ServerSettings> servers) {
    ScriptedOptions scripted;
    auto lines = parse_script(script);
    REQUIRE(lines);
    scripted.script = std::move(*lines);
    auto lease = scripted_lease("scripted", std::move(scripted));
    REQUIRE(lease);
    ApiServerOptions options;
    options.tools.served.servers = std::move(servers);
    options.tools.variables = {{"PATH", "/usr/bin:/bin"}};
    ServerConfig config;
    config.port = 0;
    auto made = ApiServer::create(config, {*lease}, options);
    REQUIRE(made);
    server = std::move(*made);
    thread = std::jthread([this] { server->run(); });
  }
  ~Served() {
    server->stop();
    server->stop();
    thread.join();
  }
  http::TestClient::Answer request(std::string_view path, std::string_view body) const {
    http::TestClient client(server->port());
    client.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
                            path, body.size(), body));
    return client.read_answer();
  }
  Json json(std::string_view path, std::string_view body) const {
    const auto answer = request(path, body);
    CAPTURE(answer.body);
    CHECK(answer.status == 200);
    auto parsed = parse_json(answer.body);
    REQUIRE(parsed);
    return std::move(*parsed);
  }

  std::unique_ptr<ApiServer> server;
  std::jthread thread;
};

hearth::mcp::ServerSettings calc(hearth::mcp::Serving serving = hearth::mcp::Serving::asked) {
  hearth::mcp::ServerSettings settings;
  settings.name = "calc";
  settings.command = {"sh", "-c", program};
  settings.allowed = {"add"};
  settings.patience = Milliseconds(5000);
  settings.serving = serving;
  return settings;
}

std::string responses(std::string_view input, std::string_view more = "") {
  return fmt::format(
      R"({{"model":"scripted","input":{},"tools":[{{"type":"mcp","server_label":"calc","require_approval":"never"{}}}]}})",
      input, more);
}

std::string kinds(const Json& list) {
  std::string all;
  for (const Json& item : list.as_array()) {
    all += all.empty() ? "" : " ";
    all += item.find("type")->as_string();
  }
  return all;
}

Json last_of(const Json& list) { return list.size() == 0 ? Json() : list.as_array().back(); }

// The data of the last event of this kind.
Json last_event(std::string_view body, std::string_view name) {
  const std::string mark = fmt::format("event: {}\ndata: ", name);
  const std::size_t begin = body.rfind(mark);
  if (begin == body.npos) return Json();
  const std::string_view rest = body.substr(begin + mark.size());
  auto parsed = parse_json(rest.substr(0, rest.find("\n\n")));
  return parsed ? std::move(*parsed) : Json();
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++found;
  return found;
}

}  // namespace

TEST_CASE("responses: a tool of a server is run here and told, streamed or not") {
  const Served served({calc()});
  const Json whole = served.json("/v1/responses", responses(R"("add")"));
  CHECK(at(whole, "status") == Json("completed"));
  CHECK(kinds(at(whole, "output")) == "mcp_list_tools message mcp_call message");
  CHECK(at(whole, "output.0.tools.0.name") == Json("add"));
  CHECK(at(whole, "output.2.name") == Json("add"));
  CHECK(at(whole, "output.2.server_label") == Json("calc"));
  CHECK(at(whole, "output.2.output") == Json("42"));
  CHECK(at(whole, "output.2.status") == Json("completed"));
  CHECK(at(whole, "output.3.content.0.text") == Json("It is 42."));

  const std::string body = responses(R"("add")");
  const auto stream =
      served.request("/v1/responses", body.substr(0, body.size() - 1) + R"(,"stream":true})");
  const Json last = last_event(stream.body, "response.completed");
  CHECK(kinds(at(last, "response.output")) == "mcp_list_tools message mcp_call message");
  for (const char* path : {"1.content.0.text", "2.output", "2.arguments", "3.content.0.text"}) {
    CAPTURE(std::string(path));
    CHECK(at(last, fmt::format("response.output.{}", path)) ==
          at(whole, fmt::format("output.{}", path)));
  }
  CHECK(at(last, "response.usage.total_tokens") == at(whole, "usage.total_tokens"));
  CHECK(at(last_event(stream.body, "response.mcp_call.completed"), "output_index") == Json(2));
  CHECK(count(stream.body, "event: response.output_item.added") == 4);
  CHECK(count(stream.body, "event: response.output_item.done") == 4);
  CHECK(has(stream.body, "event: response.mcp_call_arguments.delta"));

  const std::string id = at(whole, "id").as_string();
  const Json next = served.json(
      "/v1/responses",
      fmt::format(R"({{"model":"scripted","input":"thanks","previous_response_id":"{}"}})", id));
  CHECK(at(next, "output.0.content.0.text") == Json("It is 42."));
}

TEST_CASE("responses: what the settings do not allow is asked about, and no is no") {
  const Served served({calc()});
  const struct {
    std::string what, input, more, answer, said;
    bool approves;
  } rows[] = {
      {"not allowed by the settings", "clean up", "", "mcp_list_tools mcp_call message",
       "It failed.", true},
      {"asked for by the request", "add", R"(,"require_approval":"always")",
       "mcp_list_tools mcp_call message", "It is 42.", true},
      {"refused", "add", R"(,"require_approval":{"always":{"tool_names":["add"]}})",
       "mcp_list_tools message", "As you like.", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    std::string body = responses(fmt::format("\"{}\"", row.input), row.more);
    if (!row.more.empty()) body.replace(body.find(R"("require_approval":"never",)"), 27, "");
    const Json first = served.json("/v1/responses", body);
    const Json question = last_of(at(first, "output"));
    CHECK(at(question, "type") == Json("mcp_approval_request"));
    CHECK(at(first, "status") == Json("completed"));
    const std::string answer = fmt::format(
        R"([{{"type":"mcp_approval_response","approval_request_id":"{}","approve":{}}}])",
        at(question, "id").as_string(), row.approves);
    body.insert(body.size() - 1,
                fmt::format(R"(,"previous_response_id":"{}")", at(first, "id").as_string()));
    const std::size_t begin = body.find("\"input\":") + 8;
    body.replace(begin, body.find(",\"tools\"") - begin, answer);
    for (const bool is_streamed : {false, true}) {
      CAPTURE(is_streamed);
      Json second;
      if (is_streamed) {
        body.insert(body.size() - 1, R"(,"stream":true)");
        const auto stream = served.request("/v1/responses", body);
        CAPTURE(stream.body);
        second = at(last_event(stream.body, "response.completed"), "response");
      } else {
        second = served.json("/v1/responses", body);
      }
      CHECK(kinds(at(second, "output")) == row.answer);
      if (row.approves) CHECK(at(second, "output.1.approval_request_id") == at(question, "id"));
      CHECK(at(last_of(at(second, "output")), "content.0.text") == Json(row.said));
      // What was done is not done again.
      const Json third = served.json(
          "/v1/responses",
          fmt::format(R"({{"model":"scripted","input":"thanks","previous_response_id":"{}"}})",
                      at(second, "id").as_string()));
      CHECK(at(third, "output.0.content.0.text") == Json(row.said));
    }
  }
}

TEST_CASE("messages: a tool of a server is run here and told, streamed or not") {
  const Served served({calc()});
  const auto body = [](std::string_view messages, std::string_view more = "") {
    return fmt::format(
        R"({{"model":"scripted","max_tokens":200,"messages":[{{"role":"user","content":"add"}}{}],
"mcp_servers":[{{"type":"url","name":"calc","url":""}}],
"tools":[{{"type":"mcp_toolset","mcp_server_name":"calc"}}]{}}})",
        messages, more);
  };
  const Json whole = served.json("/v1/messages", body(""));
  CHECK(kinds(at(whole, "content")) == "text mcp_tool_use mcp_tool_result text");
  CHECK(at(whole, "content.1.name") == Json("add"));
  CHECK(at(whole, "content.1.server_name") == Json("calc"));
  CHECK(at(whole, "content.1.input.a") == Json(40));
  CHECK(at(whole, "content.2.tool_use_id") == at(whole, "content.1.id"));
  CHECK(at(whole, "content.2.content.0.text") == Json("42"));
  CHECK(at(whole, "content.3.text") == Json("It is 42."));
  CHECK(at(whole, "stop_reason") == Json("end_turn"));

  const auto stream = served.request("/v1/messages", body("", R"(,"stream":true)"));
  CHECK(count(stream.body, "event: content_block_start") == 4);
  CHECK(count(stream.body, "event: content_block_stop") == 4);
  CHECK(has(stream.body, R"("type":"mcp_tool_result")"));
  CHECK(at(last_event(stream.body, "message_delta"), "delta.stop_reason") == Json("end_turn"));

  const Json next = served.json(
      "/v1/messages",
      body(fmt::format(R"(,{{"role":"assistant","content":{}}},{{"role":"user","content":"x"}})",
                       write_json(at(whole, "content")))));
  CHECK(at(next, "content.0.text") == Json("It is 42."));
}

TEST_CASE("chat: what is run here is one answer, and the client's own calls are its own") {
  const Served served({calc()});
  const auto body = [](std::string_view text, std::string_view more = "") {
    return fmt::format(
        R"({{"model":"scripted","messages":[{{"role":"user","content":"{}"}}],
"tools":[{{"type":"mcp","server_label":"calc"}},
{{"type":"function","function":{{"name":"{}","parameters":{{"type":"object"}}}}}}]{}}})",
        text, text == "mix" ? "look" : "other", more);
  };
  const Json whole = served.json("/v1/chat/completions", body("add"));
  CHECK(at(whole, "choices.0.message.content") == Json("Let me add.\n\nIt is 42."));
  CHECK(at(whole, "choices.0.finish_reason") == Json("stop"));
  CHECK(at(whole, "choices.0.message.tool_calls") == Json());
  const auto stream = served.request("/v1/chat/completions", body("add", R"(,"stream":true)"));
  CHECK(!has(stream.body, "tool_calls"));
  CHECK(count(stream.body, R"("finish_reason":"stop")") == 1);
  const Json ollama = served.json("/api/chat", body("add", R"(,"stream":false)"));
  CHECK(at(ollama, "message.content") == at(whole, "choices.0.message.content"));

  const Json mixed = served.json("/v1/chat/completions", body("mix"));
  CHECK(at(mixed, "choices.0.finish_reason") == Json("tool_calls"));
  CHECK(at(mixed, "choices.0.message.tool_calls").size() == 1);
  CHECK(at(mixed, "choices.0.message.tool_calls.0.function.name") == Json("look"));
  const auto parts = served.request("/v1/chat/completions", body("mix", R"(,"stream":true)"));
  CHECK(has(parts.body, R"("tool_calls":[{"index":0,"id")"));
  CHECK(!has(parts.body, "calc__add"));
}

TEST_CASE("a server that is always there, and who may have it") {
  auto settings = calc(hearth::mcp::Serving::always);
  const auto ask = R"({"model":"scripted","messages":[{"role":"user","content":"add"}]})";
  {
    const Served served({settings});
    CHECK(at(served.json("/v1/chat/completions", ask), "choices.0.message.content") ==
          Json("Let me add.\n\nIt is 42."));
    const Json none = served.json(
        "/v1/chat/completions",
        R"({"model":"scripted","tool_choice":"none","messages":[{"role":"user","content":"add"}]})");
    CHECK(at(none, "choices.0.message.content") == Json("No tools."));
  }
  settings.served_keys = {"somebody"};
  const Served served({settings});
  CHECK(at(served.json("/v1/chat/completions", ask), "choices.0.message.content") ==
        Json("No tools."));
  CHECK(served.request("/v1/responses", responses(R"("add")")).status == 400);
}

TEST_CASE("servers that a request may not use") {
  auto broken = calc();
  broken.name = "broken";
  broken.command = {"/no/such/program"};
  const Served served({calc(), broken});
  const struct {
    std::string what, tool;
    int status;
    std::string param;
  } rows[] = {
      {"no label", R"({"type":"mcp"})", 400, "tools.server_label"},
      {"unknown", R"({"type":"mcp","server_label":"files"})", 400, "tools"},
      {"an address", R"({"type":"mcp","server_label":"x","server_url":"http://127.0.0.1:1/mcp"})",
       400, "tools.server_url"},
      {"the machine's own",
       R"({"type":"mcp","server_label":"x","server_url":"file:///etc/passwd"})", 400,
       "tools.server_url"},
      {"another's address",
       R"({"type":"mcp","server_label":"calc","server_url":"https://evil.example/mcp"})", 400,
       "tools.server_url"},
      {"headers for ours", R"({"type":"mcp","server_label":"calc","authorization":"x"})", 400,
       "tools.headers"},
      {"a header of two lines", R"({"type":"mcp","server_label":"x","headers":{"A":"b\r\nC: d"}})",
       400, "tools.headers"},
      {"a connector", R"({"type":"mcp","server_label":"x","connector_id":"connector_gmail"})", 400,
       "tools.connector_id"},
      {"one that does not start", R"({"type":"mcp","server_label":"broken"})", 424, "tools"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto answer = served.request(
        "/v1/responses",
        fmt::format(R"({{"model":"scripted","input":"add","tools":[{}]}})", row.tool));
    CAPTURE(answer.body);
    CHECK(answer.status == row.status);
    const auto error = parse_json(answer.body);
    REQUIRE(error);
    CHECK(at(*error, "error.param") == Json(row.param));
  }
}

TEST_CASE("approvals of what was never asked, or is not offered") {
  const Served served({calc()});
  const auto question = [](std::string_view server, std::string_view tool) {
    return fmt::format(
        R"({{"type":"mcp_approval_request","id":"mcpr_1","server_label":"{}","name":"{}","arguments":"{{}}"}},)",
        server, tool);
  };
  const std::string yes =
      R"({"type":"mcp_approval_response","approval_request_id":"mcpr_1","approve":true})";
  const struct {
    std::string input;
    int status;
  } rows[] = {
      {yes, 400},
      {question("calc", "dance") + yes, 400},
      {question("files", "add") + yes, 400},
      {question("calc", "add") +
           R"({"type":"mcp_approval_response","approval_request_id":"mcpr_1"})",
       400},
      {question("calc", "add") + yes + "," + yes, 400},
      {question("calc", "add") + yes, 200},
  };
  for (const auto& row : rows) {
    CAPTURE(row.input);
    const auto answer = served.request("/v1/responses", responses("[" + row.input + "]"));
    CAPTURE(answer.body);
    CHECK(answer.status == row.status);
  }
}

TEST_CASE("an answer that never stops calling ends") {
  const Served served({calc()});
  const Json whole = served.json("/v1/responses", responses(R"("again")"));
  CHECK(at(whole, "status") == Json("completed"));
  CHECK(count(kinds(at(whole, "output")), "mcp_call") == 16);

  std::string body = responses(R"("again")");
  body.insert(body.size() - 1, R"(,"max_tool_calls":2)");
  const Json few = served.json("/v1/responses", body);
  std::size_t made = 0;
  const Json output = at(few, "output");
  for (const Json& item : output.as_array())
    made += at(item, "type") == Json("mcp_call") && at(item, "status") == Json("completed");
  CHECK(made == 2);
}
