// scripted_server SCRIPT.json [PORT [MCP.json]]
// A server whose model `scripted` says what the script says, for tests of real clients: every other
// part is that of `hearth serve`.
#include <fmt/core.h>

#include <cstdlib>

#include "base/files.h"
#include "server/scripted.h"
#include "server/serve.h"

using namespace hearth;

namespace {

Status serve(const std::string& script_path, std::int64_t port, const std::string& mcp_path) {
  const std::string text = TRY(read_file(script_path, 1 << 20));
  server::ScriptedOptions options;
  options.script = TRY(server::parse_script(text));
  std::vector<Lease> models;
  models.push_back(TRY(server::scripted_lease("scripted", std::move(options))));
  ServerConfig config;
  config.port = port;
  server::ApiServerOptions serving;
  serving.stop_on_signals = true;
  if (!mcp_path.empty()) {
    serving.tools.variables = {{"PATH", std::getenv("PATH")}};
    serving.tools.served = TRY(mcp::read_served(mcp_path, serving.tools.variables));
  }
  const auto server = TRY(server::ApiServer::create(config, std::move(models), serving));
  fmt::print("listening on {}\n", server->url());
  std::fflush(stdout);
  server->run();
  return Done{};
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) {
    fmt::print(stderr, "usage: scripted_server SCRIPT.json [PORT [MCP.json]]\n");
    return 2;
  }
  const Status status =
      serve(words[1], count > 2 ? std::atoll(words[2]) : 0, count > 3 ? words[3] : "");
  if (status.ok()) return 0;
  fmt::print(stderr, "scripted_server: {}\n", status.error().message());
  return 1;
}
