// Server: HTTP/1.1 over TCP or TLS as one event loop.  No thread per connection: thousands of idle
// streams cost kilobytes each.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/limits.h"
#include "http/message.h"
#include "http/responder.h"

namespace hearth::http {

struct ServerOptions {
  // An IP address or "localhost".  127.0.0.1 and localhost also listen on [::1] where there is one.
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free one
  std::vector<std::string> allowed_hosts, allowed_origins;
  // A page of any site may lead a browser to this path; empty: to none.
  std::string landing_path;
  std::string tls_certificate, tls_key;  // PEM files; both or none
  std::size_t max_body_bytes = limits::body_bytes;
  std::size_t max_connections = limits::connections;
  std::chrono::milliseconds heartbeat = limits::heartbeat;
  std::chrono::milliseconds drain = limits::drain;
  bool stop_on_signals = false;  // SIGINT and SIGTERM: graceful; a second one: at once
};

// Both are called on the loop's thread and must not block it.
struct Handler {
  // May answer when only the head is known (no such route, no key), before the body is read.
  // Empty: admits all.
  std::function<std::optional<Response>(const Request&)> admit;
  std::function<void(Request, std::shared_ptr<Responder>)> handle;
};

struct ServerStats {
  std::uint64_t connections_open = 0, connections_total = 0, connections_refused = 0;
  std::uint64_t requests_total = 0, requests_open = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;
};

class Server {
 public:
  // Listens; answers nobody before run().  Errors: invalid (host, origin, certificate), io (the
  // address is in use).
  static Result<std::unique_ptr<Server>> create(const ServerOptions& options, Handler handler);
  ~Server();  // run() must have returned
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const;
  std::string url() const;  // "http://127.0.0.1:11500"

  // Serves on the calling thread until a stop is complete.
  void run();

  // Thread-safe.  Stops accepting, lets answers finish for options.drain, then fires their stop
  // tokens and, a second later, closes what is left.  Asked twice: at once.
  void stop();
  // Thread-safe.
  bool is_stopping() const;
  ServerStats stats() const;

 private:
  struct State;
  explicit Server(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace hearth::http
