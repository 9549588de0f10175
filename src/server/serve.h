// ApiServer: the endpoints on a socket.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "library/library.h"

namespace hearth::server {

struct ApiServerOptions {
  bool stop_on_signals = false;   // SIGINT and SIGTERM: finish what runs; a second one: at once
  CollectionsConfig collections;  // an empty folder: none are kept
};

class ApiServer {
 public:
  // Listens, but answers nobody before run().  `models`: what is served, the first one where a
  // request may leave its model out.  Errors: invalid (an address that is not loopback without
  // keys, a key file that others may read, hosts, origins, certificates), io (the address is in
  // use).
  static Result<std::unique_ptr<ApiServer>> create(const ServerConfig& config,
                                                   std::vector<Lease> models,
                                                   const ApiServerOptions& options = {});
  ~ApiServer();  // run() must have returned
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  std::string url() const;  // "http://127.0.0.1:11500"
  std::uint16_t port() const;

  // Serves on the calling thread until stopped.
  void run();
  // Thread-safe.  Lets streams finish for up to 30 seconds; asked twice: at once.
  void stop();

 private:
  struct State;
  explicit ApiServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// docs/reference/http.md and /openapi.json.
std::string openapi_json();
std::string http_reference();

}  // namespace hearth::server
