// Service: what every endpoint works with.  Call: one request on its way to an answer.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "http/responder.h"
#include "http/server.h"
#include "library/library.h"
#include "server/errors.h"
#include "server/keys.h"
#include "server/metrics.h"
#include "server/workers.h"

namespace hearth::server {

// Requests in progress.  Thread-safe.
struct Places {
  explicit Places(std::size_t keys) : per_key(keys) {}
  std::atomic<std::uint32_t> open{0};
  std::vector<std::atomic<std::uint32_t>> per_key;
};

class CollectionPool;
class ResponseStore;

// Thread-safe: its parts are, or do not change once the server runs.
struct Service {
  Service();
  ~Service();

  std::vector<Lease> models;  // the first is meant where a request may leave its model out
  KeyRing keys;
  std::shared_ptr<Places> places = std::make_shared<Places>(0);
  Metrics metrics;
  std::int64_t started_seconds = 0;  // Unix time
  std::uint32_t max_queued = 512;    // requests that may wait for one model
  std::function<bool()> is_stopping = [] { return false; };
  std::function<http::ServerStats()> transport = [] { return http::ServerStats(); };

  std::unique_ptr<CollectionPool> collections;  // null: none are kept
  std::unique_ptr<ResponseStore> responses;

  // Last, so that their jobs end first.  `prepare` parses and tokenizes; `embed` waits for vectors.
  std::unique_ptr<Workers> prepare, embed;

  // With or without the tag ":latest".  Errors: 404 model_not_found, naming what there is.
  Checked<Lease> find_model(std::string_view id) const;
  // The model of the body's "model"; the first one when `may_be_absent` and it is.
  Checked<Lease> model_of(const Json& body, bool may_be_absent = false) const;
  // No model that generates has room for another request.
  bool is_full() const;
  // Seconds after which a refused request may find room: 1 to 60.
  int retry_after_seconds() const;
};

struct Endpoint;

// Used by one thread at a time.
struct Call {
  http::Request request;
  std::shared_ptr<http::Responder> responder;
  const Endpoint* endpoint = nullptr;
  std::string rest;                // what stands for {id} in the path
  std::vector<std::string> parts;  // what stands for its other names
  std::string tenant;  // whose request it is; requests share cached prefixes within one only
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
  std::shared_ptr<void> place;  // in Places; given back with the call
};

void send(Service& service, Call& call, http::Response response);
void send(Service& service, Call& call, Problem problem);

std::int64_t unix_seconds();

}  // namespace hearth::server
