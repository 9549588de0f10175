#include "mcp/toolbox.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <set>

using namespace hearth;
using namespace hearth::mcp;

namespace {

const Variables variables = {{"PATH", "/usr/bin:/bin"}};

// A server of the shell's, with these tools; its answers to calls are `said`, once.
ServerSettings server(std::string name, const std::string& tools, const std::string& said) {
  ServerSettings settings;
  settings.name = std::move(name);
  settings.patience = Milliseconds(5000);
  const auto reply = [](const char* id, const std::string& result) {
    return "read line; echo '{\"jsonrpc\":\"2.0\",\"id\":" + std::string(id) +
           ",\"result\":" + result + "}'; ";
  };
  settings.command = {
      "sh", "-c",
      reply("1", "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}}}") +
          "read line; " + reply("2", "{\"tools\":[" + tools + "]}") + said};
  return settings;
}

std::string call_answer(const std::string& text) {
  return "read line; echo '{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"content\":[{\"type\":"
         "\"text\",\"text\":\"" +
         text + "\"}]}}'; cat > /dev/null";
}

}  // namespace

TEST_CASE("two servers with the same tool keep to themselves") {
  const std::string tool = R"({"name":"read"})";
  const auto box = Toolbox::open(
      {server("a", tool, call_answer("of a")),
       server("b", tool + R"(,{"name":"a__read"},{"name":"re ad"})", call_answer("of b")),
       server("gone", tool, "exit 1")},
      variables, {});
  std::set<std::string> names;
  for (const OfferedTool& offered : box->tools()) {
    CAPTURE(offered.name);
    CHECK(names.insert(offered.name).second);
    CHECK(offered.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") ==
          std::string::npos);
    CHECK(offered.name.starts_with(offered.server + "__"));
  }
  CHECK(names.size() == 5);
  CHECK(openai_tools(box->tools()).size() == 5);
  CHECK(box->call("a__read", "{}", {})->text == "of a");
  CHECK(box->call("b__read", "", {})->text == "of b");
  CHECK(!box->call("a__write", "{}", {}));
  for (const char* arguments : {"[]", "{", "{\"a\":1,\"a\":2}", "null"}) {
    CAPTURE(std::string(arguments));
    const auto result = box->call("a__read", arguments, {});
    REQUIRE(!result);
    CHECK(result.error().kind() == ErrorKind::invalid);
  }
}

TEST_CASE("what was agreed to is agreed to no more when it has changed") {
  char path[] = "/tmp/hearth-consent-XXXXXX";
  REQUIRE(::mkstemp(path) >= 0);
  OfferedTool tool{"a__read", "a", {}};
  tool.tool.name = "read";
  tool.tool.digest = "1";
  {
    Consents consents(path);
    CHECK(consents.find(tool) == Decision::ask);
    REQUIRE(consents.remember(tool, Decision::always).ok());
    OfferedTool other = tool;
    other.server = "b";
    REQUIRE(consents.remember(other, Decision::never).ok());
  }
  const Consents consents(path);
  CHECK(consents.find(tool) == Decision::always);
  OfferedTool other = tool;
  other.server = "b";
  CHECK(consents.find(other) == Decision::never);
  tool.tool.digest = "2";
  CHECK(consents.find(tool) == Decision::ask);
  std::remove(path);
}

TEST_CASE("a server that ends is started again, and never asked twice for the same") {
  const auto box =
      Toolbox::open({server("a", R"({"name":"read"})", "read line; exit 1")}, variables, {});
  for (int i = 0; i < 2; ++i) {
    const auto result = box->call("a__read", "{}", {});
    REQUIRE(!result);
    CHECK(result.error().kind() == ErrorKind::unavailable);
  }
}
