// scripted_server SCRIPT.json [PORT]
// A server whose model `scripted` says what the script says, for tests of real clients: every other
// part is that of `hearth serve`.
#include <fmt/core.h>

#include <cstdlib>

#include "base/files.h"
#include "server/scripted.h"
#include "server/serve.h"

using namespace hearth;

namespace {

Status serve(const std::string& script_path, std::int64_t port) {
  const std::string text = TRY(read_file(script_path, 1 << 20));
  server::ScriptedOptions options;
  options.script = TRY(server::parse_script(text));
  std::vector<Lease> models;
  models.push_back(TRY(server::scripted_lease("scripted", std::move(options))));
  ServerConfig config;
  config.port = port;
  const auto server =
      TRY(server::ApiServer::create(config, std::move(models), {.stop_on_signals = true}));
  fmt::print("listening on {}\n", server->url());
  std::fflush(stdout);
  server->run();
  return Done{};
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) {
    fmt::print(stderr, "usage: scripted_server SCRIPT.json [PORT]\n");
    return 2;
  }
  const Status status = serve(words[1], count > 2 ? std::atoll(words[2]) : 0);
  if (status.ok()) return 0;
  fmt::print(stderr, "scripted_server: {}\n", status.error().message());
  return 1;
}
