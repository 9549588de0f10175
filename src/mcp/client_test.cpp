#include "mcp/client.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>

#include "mcp/content.h"
#include "mcp/toolbox.h"

using namespace hearth;
using namespace hearth::mcp;

namespace {

Json parsed(std::string_view text) {
  auto json = parse_json(text);
  REQUIRE(json);
  return std::move(*json);
}

// A server in this process: `react` gets every message, and answers by Hearing.
class FakeTransport final : public Transport {
 public:
  using React = std::function<void(const Json& message, const Hearing& hearing)>;
  FakeTransport(Hearing hearing, React react)
      : hearing_(std::move(hearing)), react_(std::move(react)) {}
  Status send(const std::string& text, bool, const Deadline&) override {
    react_(parsed(text), hearing_);
    return Done{};
  }
  bool has_answered() const override { return false; }

 private:
  Hearing hearing_;
  React react_;
};

Json answer(const Json& message, Json result) {
  return Json::object(
      {{"jsonrpc", "2.0"}, {"id", *message.find("id")}, {"result", std::move(result)}});
}

// Answers initialize; the rest is for `more`.
MakeTransport fake(FakeTransport::React more) {
  return [more](Hearing hearing) -> Result<std::unique_ptr<Transport>> {
    return std::unique_ptr<Transport>(std::make_unique<FakeTransport>(
        std::move(hearing), [more](const Json& message, const Hearing& heard) {
          const Json* method = message.find("method");
          if (method && *method == Json("initialize"))
            return heard.message(answer(
                message, parsed(R"({"protocolVersion":"2025-06-18","capabilities":{"tools":{}},)"
                                R"("serverInfo":{"name":"fake","version":"1"}})")));
          if (message.find("id") || !method) more(message, heard);
        }));
  };
}

ServerSettings settings(std::vector<std::string> command = {},
                        Milliseconds patience = Milliseconds(10'000)) {
  ServerSettings server;
  server.name = "fake";
  server.command = std::move(command);
  server.patience = patience;
  return server;
}

ServerSettings shell(std::string script, Milliseconds patience = Milliseconds(10'000)) {
  return settings({"sh", "-c", std::move(script)}, patience);
}

const Variables variables = {{"PATH", "/usr/bin:/bin"}};

}  // namespace

TEST_CASE("tools, calls and what the model is told") {
  const auto client = Client::connect(
      settings(), fake([](const Json& message, const Hearing& hearing) {
        if (*message.find("method") == Json("tools/list")) {
          const bool is_first = !message.find("params")->find("cursor");
          hearing.message(
              answer(message,
                     parsed(is_first ? R"({"tools":[{"name":"a","description":"A","inputSchema":)"
                                       R"({"type":"object"},"annotations":{"readOnlyHint":true}}],)"
                                       R"("nextCursor":"2"})"
                                     : R"({"tools":[{"name":"b"},{"name":"a"},{"name":""},7]})")));
          return;
        }
        hearing.message(
            answer(message, parsed(R"({"content":[{"type":"text","text":"one"},)"
                                   R"({"type":"image","mimeType":"image/png"},)"
                                   R"({"type":"resource_link","uri":"http://10.0.0.1/"})"
                                   R"(]})")));
      }),
      {});
  REQUIRE(client);
  CHECK((*client)->title() == "fake 1");
  std::vector<std::string> left_out;
  const auto tools = (*client)->tools({}, &left_out);
  REQUIRE(tools);
  REQUIRE(tools->size() == 2);
  CHECK((*tools)[0].only_reads);
  CHECK(!(*tools)[1].only_reads);
  CHECK((*tools)[0].digest != (*tools)[1].digest);
  CHECK(left_out.size() == 2);
  const auto result = (*client)->call("a", Json::object(), {});
  REQUIRE(result);
  CHECK(result->text == "one\n[image image/png: not shown]\n[http://10.0.0.1/]");
}

TEST_CASE("a server that asks us: only its signs of life are answered") {
  std::vector<Json> replies;
  const auto client = Client::connect(
      settings(), fake([&](const Json& message, const Hearing& hearing) {
        if (!message.find("method")) return replies.push_back(message);
        for (const char* method :
             {"ping", "sampling/createMessage", "elicitation/create", "roots/list"})
          hearing.message(Json::object({{"jsonrpc", "2.0"}, {"id", method}, {"method", method}}));
        hearing.message(
            parsed(R"({"jsonrpc":"2.0","method":"notifications/message","params":{}})"));
        hearing.message(parsed(R"({"jsonrpc":"2.0","id":999,"result":{}})"));
        hearing.message(answer(message, Json::object({{"content", Json::array()}})));
      }),
      {});
  REQUIRE(client);
  REQUIRE((*client)->call("a", Json::object(), {}));
  REQUIRE(replies.size() == 4);
  CHECK(replies[0].find("result"));
  for (std::size_t i = 1; i < 4; ++i) CHECK(replies[i].find("error"));
}

TEST_CASE("answers that make no sense, too late, or never come") {
  const struct {
    std::string what;
    FakeTransport::React react;
    ErrorKind kind;
  } rows[] = {
      {"nothing", [](const Json&, const Hearing&) {}, ErrorKind::unavailable},
      {"dies in the middle",
       [](const Json&, const Hearing& hearing) {
         hearing.end(Error(ErrorKind::unavailable, "it has ended"));
       },
       ErrorKind::unavailable},
      {"no result",
       [](const Json& message, const Hearing& hearing) {
         hearing.message(Json::object({{"id", *message.find("id")}, {"result", "text"}}));
       },
       ErrorKind::invalid},
      {"an error",
       [](const Json& message, const Hearing& hearing) {
         hearing.message(Json::object(
             {{"id", *message.find("id")},
              {"error", Json::object({{"code", -32601}, {"message", "no \x1b[31m such"}})}}));
       },
       ErrorKind::not_found},
      {"another's",
       [](const Json&, const Hearing& hearing) {
         hearing.message(parsed(R"({"id":12345,"result":{}})"));
       },
       ErrorKind::unavailable},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto client = Client::connect(settings({}, Milliseconds(100)), fake(row.react), {});
    REQUIRE(client);
    const auto result = (*client)->call("a", Json::object(), {});
    REQUIRE(!result);
    CHECK(result.error().kind() == row.kind);
    CHECK(result.error().message().find('\x1b') == std::string::npos);
  }
  // A stop ends the waiting, and the server is told.
  bool is_told = false;
  const auto client = Client::connect(
      settings(),
      [&](Hearing hearing) -> Result<std::unique_ptr<Transport>> {
        return std::unique_ptr<Transport>(std::make_unique<FakeTransport>(
            std::move(hearing), [&](const Json& message, const Hearing& heard) {
              const Json* method = message.find("method");
              if (*method == Json("initialize"))
                heard.message(answer(message, parsed(R"({"protocolVersion":"2024-11-05"})")));
              is_told = is_told || *method == Json("notifications/cancelled");
            }));
      },
      {});
  REQUIRE(client);
  std::stop_source stop;
  stop.request_stop();
  const auto result = (*client)->call("a", Json::object(), stop.get_token());
  REQUIRE(!result);
  CHECK(result.error().kind() == ErrorKind::cancelled);
  CHECK(is_told);
}

TEST_CASE("programs that are no good servers") {
  const struct {
    std::string what, script, says;
  } rows[] = {
      {"ends at once", "echo gone >&2; exit 3", "it has ended"},
      {"says nothing", "cat > /dev/null", "does not answer in time"},
      {"does not read", "sleep 5", "does not answer in time"},
      {"writes what is no message", "yes junk", "no messages"},
      {"one line without end", "tr '\\0' a < /dev/zero", "over 16777216 bytes"},
      {"messages without end", "yes '{\"method\":\"x\"}'", ""},
      {"cannot be told to go", "trap '' TERM; sleep 5", "does not answer in time"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto began = std::chrono::steady_clock::now();
    const auto client = Client::connect(shell(row.script, Milliseconds(1500)), variables, {});
    REQUIRE(!client);
    CHECK(client.error().message().find(row.says) != std::string::npos);
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(60));
  }
  const auto absent = Client::connect(settings({"/no/such/program"}), variables, {});
  REQUIRE(!absent);
  CHECK(absent.error().kind() == ErrorKind::not_found);
}

TEST_CASE("a program gets no secrets of ours") {
  const Variables ours = {{"PATH", "/usr/bin:/bin"}, {"SECRET_KEY", "x"}};
  ServerSettings server = shell(
      "[ -z \"$SECRET_KEY\" ] || exit 1; [ \"$OWN\" = y ] || exit 1; read line; "
      "echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":\"2025-11-25\"}}'; cat");
  server.environment = {{"OWN", "y"}};
  CHECK(Client::connect(server, ours, {}));
}

TEST_CASE("results too long are cut, and say so") {
  const std::string text(2 * max_result_bytes, 'x');
  const ToolResult result = tool_result(Json::object(
      {{"content", Json(Json::Array{Json::object({{"type", "text"}, {"text", text}})})}}));
  CHECK(result.is_cut);
  CHECK(result.text.size() < max_result_bytes + 100);
  CHECK(result.text.ends_with("cut: it was too long]"));
}

TEST_CASE("what hides in a description is taken out") {
  CHECK(cleaned("a\x1b[31mb\nc\td\x7f", 100) == "a[31mb\nc\td");
  CHECK(cleaned("x\xF3\xA0\x81\xA1y\xE2\x80\xAEz", 100) == "xyz");  // a tag; right to left
  CHECK(cleaned("\xE4\xB8\xAD\xE4\xB8\xAD", 5) == "\xE4\xB8\xAD");
  CHECK(cleaned("bad \xff", 100) == "bad \xEF\xBF\xBD");
}

TEST_CASE("events of a stream, however they are cut") {
  const std::string text =
      ": hello\nevent: message\ndata: {\"a\":\ndata: 1}\n\ndata:two\r\n\r\nid: 3\n\ndata: never\n";
  for (std::size_t size = 1; size < 20; ++size) {
    EventReader reader;
    std::vector<std::string> events;
    for (std::size_t at = 0; at < text.size(); at += size)
      REQUIRE(reader
                  .add(std::string_view(text).substr(at, size),
                       [&](std::string_view data) { events.emplace_back(data); })
                  .ok());
    CHECK(events == std::vector<std::string>{"{\"a\":\n1}", "two"});
  }
  EventReader reader;
  CHECK(!reader.add(std::string(max_message_bytes + 1, 'a'), [](std::string_view) {}).ok());
}

TEST_CASE("settings in the forms of other clients") {
  const Variables ours = {{"KEY", "k"}};
  const auto servers = parse_servers(
      R"({"mcpServers":{"files":{"command":"./run","args":["${KEY}","${NONE:-x}"],"env":{"A":"b"},
         "alwaysAllow":["read"],"timeout":5,"disabled":true},
         "web":{"type":"http","url":"https://h/mcp","headers":{"Authorization":"Bearer ${KEY}"}}}})",
      "/etc/mine", ours);
  REQUIRE(servers);
  REQUIRE(servers->size() == 2);
  const ServerSettings& files = servers->front();
  CHECK(files.command == std::vector<std::string>{"/etc/mine/./run", "k", "x"});
  CHECK(files.is_off);
  CHECK(files.patience == Milliseconds(5000));
  CHECK(files.allowed == std::vector<std::string>{"read"});
  CHECK((*servers)[1].headers.front().second == "Bearer k");
  for (const char* text :
       {"{}", R"({"mcpServers":[]})", R"({"mcpServers":{"a b":{"command":"x"}}})",
        R"({"mcpServers":{"a":{}}})", R"({"mcpServers":{"a":{"command":"x","url":"http://h"}}})",
        R"({"mcpServers":{"a":{"command":"x","args":"y"}}})",
        R"({"mcpServers":{"a":{"command":"x","args":["${NONE}"]}}})",
        R"({"mcpServers":{"a":{"url":"file:///etc/passwd"}}})",
        R"({"mcpServers":{"a":{"url":"-o http://h"}}})",
        R"({"mcpServers":{"a":{"type":"sse","url":"http://h"}}})",
        R"({"mcpServers":{"a":{"url":"http://h","headers":{"X":"a\r\nB: c"}}}})",
        R"({"mcpServers":{"a":{"command":"x"},"a":{"command":"y"}}})"}) {
    CAPTURE(std::string(text));
    CHECK(!parse_servers(text, "/", ours));
  }
}
