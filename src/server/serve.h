// ApiServer: the endpoints, on a socket or asked by their own program.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "http/responder.h"
#include "library/live.h"
#include "mcp/settings.h"

namespace hearth {
class LiveConfig;
}

namespace hearth::server {

// Where keys, what they used and who asked what are kept; empty: nowhere.
struct AccessFiles {
  std::string key_store;       // what `hearth keys` manages
  std::string usage_file;      // what each key used
  std::string audit_log;       // one JSON line a request, without content
  bool always_audits = false;  // also where no key is needed
};

// Servers of the Model Context Protocol whose tools requests may use.
struct ToolSettings {
  hearth::mcp::ServedSettings served = {};
  hearth::mcp::Variables variables = {};  // of the environment
  std::string problem = {};               // why `served` could not be read
};

struct ApiServerOptions {
  bool stop_on_signals = false;  // SIGINT and SIGTERM: finish what runs; a second one: at once
  CollectionsConfig collections = {};  // an empty folder: none are kept
  std::string standard_model = {};     // where a request leaves its model out
  bool listens = true;                 // false: only ask() is answered
  AccessFiles access = {};
  LiveConfig* settings = nullptr;  // outlives the server; null: nothing changes while it runs
  ToolSettings tools = {};
};

class ApiServer {
 public:
  // Listens, but answers nobody before run().  `models`: all that is served, the first one where a
  // request may leave its model out.  Errors: invalid (an address that is not loopback without
  // keys, a key file that others may read, hosts, origins, certificates), io (the address is in
  // use).
  static Result<std::unique_ptr<ApiServer>> create(const ServerConfig& config,
                                                   std::vector<Lease> models,
                                                   const ApiServerOptions& options = {});
  // Any installed model, loaded when it is asked for; the library outlives the server.
  static Result<std::unique_ptr<ApiServer>> create(const ServerConfig& config, LiveLibrary& library,
                                                   const ApiServerOptions& options = {});
  ~ApiServer();  // run() must have returned
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  std::string url() const;  // "http://127.0.0.1:11500"
  std::uint16_t port() const;

  // Has an endpoint answer a request that came in another way than by the socket.  Thread-safe.
  void ask(http::Request request, std::shared_ptr<http::Responder> responder);
  // Serves on the calling thread until stopped.
  void run();
  // Thread-safe.  Lets streams finish for up to 30 seconds; asked twice: at once.
  void stop();

 private:
  struct State;
  static Result<std::unique_ptr<ApiServer>> start(std::unique_ptr<State> state,
                                                  const ServerConfig& config,
                                                  const ApiServerOptions& options);
  explicit ApiServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// docs/reference/http.md and /openapi.json.
std::string openapi_json();
std::string http_reference();

}  // namespace hearth::server
