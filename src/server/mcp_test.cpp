// The Model Context Protocol over HTTP.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include "server/endpoints.h"
#include "server/mcp/tools.h"
#include "server/running.h"

using namespace hearth;
using namespace hearth::server;

namespace {

std::string message(std::string_view method, std::string_view params = "{}") {
  return fmt::format(R"({{"jsonrpc":"2.0","id":7,"method":"{}","params":{}}})", method, params);
}

std::string call(std::string_view tool, std::string_view arguments) {
  return message("tools/call", fmt::format(R"({{"name":"{}","arguments":{}}})", tool, arguments));
}

}  // namespace

TEST_CASE("mcp: every tool and resource is an endpoint") {
  for (const server::mcp::Tool& tool : server::mcp::tools()) {
    CAPTURE(tool.name);
    CHECK(parse_json(tool.schema));
    auto request = server::mcp::request_of(tool, Json::object({{"collection", "notes"}}));
    REQUIRE(request.ok());
    CHECK(find_route(request.value().method, request.value().path).endpoint != nullptr);
  }
  for (const server::mcp::Resource& row : server::mcp::resources()) {
    CAPTURE(row.uri);
    const std::string uri(row.uri.substr(0, row.uri.find('{')));
    const auto request = server::mcp::request_of_resource(uri + (uri == row.uri ? "" : "a/b:c"));
    REQUIRE(request);
    CHECK(find_route("GET", request->path).endpoint != nullptr);
  }
}

TEST_CASE("mcp: a conversation") {
  Running running;
  for (const char* version : {"2025-06-18", "2024-11-05"}) {
    const Json begun =
        running.json("POST", "/mcp",
                     message("initialize", fmt::format(R"({{"protocolVersion":"{}"}})", version)));
    CHECK(at(begun, "result.protocolVersion") == Json(version));
    CHECK(at(begun, "id") == Json(7));
  }
  const Json newer =
      running.json("POST", "/mcp", message("initialize", R"({"protocolVersion":"2099-01-01"})"));
  CHECK(at(newer, "result.protocolVersion") == Json("2025-11-25"));
  CHECK(at(newer, "result.serverInfo.name") == Json("hearth"));
  const auto noted =
      running.request("POST", "/mcp", R"({"jsonrpc":"2.0","method":"notifications/initialized"})");
  CHECK(noted.status == 202);
  CHECK(noted.body.empty());
  CHECK(at(running.json("POST", "/mcp", message("ping")), "result") == Json::object());

  const Json tools = at(running.json("POST", "/mcp", message("tools/list")), "result.tools");
  CHECK(tools.size() == server::mcp::tools().size());
  CHECK(at(tools, "0.inputSchema.type") == Json("object"));
  CHECK(at(running.json("POST", "/mcp", message("resources/list")), "result.resources").size() ==
        4);
  CHECK(at(running.json("POST", "/mcp", message("resources/templates/list")),
           "result.resourceTemplates.0.uriTemplate") == Json("mcp://hearth/models/{name}"));

  const Json ran = running.json(
      "POST", "/mcp",
      call(
          "run_model",
          R"({"model":"fake","seed":0,"max_tokens":3,"messages":[{"role":"user","content":"x"}]})"));
  CHECK(at(ran, "result.content.0.text") == Json("abc"));
  CHECK(at(ran, "result.isError") == Json(false));
  CHECK(at(ran, "result.structuredContent.usage.completion_tokens") == Json(3));
  const Json counted =
      running.json("POST", "/mcp", call("count_tokens", R"({"model":"fake","content":"abcd"})"));
  CHECK(at(counted, "result.content.0.text") == Json("4"));
}

TEST_CASE("mcp: what is wrong is said as the protocol says it") {
  Running running;
  const struct {
    std::string body;
    int status, code;
  } rows[] = {
      {"{", 400, -32700},
      {"[]", 400, -32600},
      {"[" + message("ping") + "]", 400, -32600},
      {R"({"id":1,"method":"ping"})", 400, -32600},
      {R"({"jsonrpc":"2.0","id":null,"method":"ping"})", 400, -32600},
      {R"({"jsonrpc":"2.0","id":1.5,"method":"ping"})", 400, -32600},
      {R"({"jsonrpc":"2.0","id":{},"method":"ping"})", 400, -32600},
      {R"({"jsonrpc":"2.0","id":1})", 400, -32600},
      {R"({"jsonrpc":"2.0","id":1,"method":"ping","params":[1]})", 200, -32602},
      {message("dance"), 200, -32601},
      {message("initialize"), 200, -32602},
      {message("tools/list", R"({"cursor":"x"})"), 200, -32602},
      {message("tools/call"), 200, -32602},
      {call("dance", "{}"), 200, -32602},
      {call("ping", "[]"), 200, -32602},
      {call("search_collection", R"({"text":"x"})"), 200, -32602},
      {call("search_collection", R"({"collection":"../a","text":"x"})"), 200, -32602},
      {message("resources/read", R"({"uri":"file:///etc/passwd"})"), 200, -32002},
      {message("resources/read", R"({"uri":"mcp://hearth/models/../../etc"})"), 200, -32002},
      {message("resources/read", R"({"uri":"mcp://../"})"), 200, -32002},
      {message("resources/read"), 200, -32602},
  };
  for (const auto& row : rows) {
    CAPTURE(row.body);
    const auto answer = running.request("POST", "/mcp", row.body);
    CAPTURE(answer.body);
    CHECK(answer.status == row.status);
    auto body = parse_json(answer.body);
    REQUIRE(body);
    CHECK(at(*body, "error.code") == Json(row.code));
  }
  // What an endpoint refuses is the tool's failure, which a model may mend.
  const Json refused = running.json("POST", "/mcp", call("run_model", R"({"model":"nobody"})"));
  CHECK(at(refused, "result.isError") == Json(true));
  CHECK(has(at(refused, "result.content.0.text").as_string(), "nobody"));
  CHECK(running.request("GET", "/mcp").status == 405);
  CHECK(running.request("POST", "/mcp", message("ping"), "MCP-Protocol-Version: 1999-01-01\r\n")
            .status == 400);
}
