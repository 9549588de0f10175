// Service: what every endpoint works with.  Call: one request on its way to an answer.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"
#include "config/config.h"
#include "http/responder.h"
#include "http/server.h"
#include "library/live.h"
#include "server/access/keys.h"
#include "server/access/ledger.h"
#include "server/errors.h"
#include "server/metrics.h"
#include "server/workers.h"

namespace hearth {
class LiveConfig;
}

namespace hearth::server {

// Requests in progress.  Thread-safe.
struct Places {
  std::atomic<std::uint32_t> open{0};
};

class Batches;
class CollectionPool;
class ResponseStore;
class EventHub;
class GraphPool;
class Regulator;
class ToolHost;
struct Call;

// On whose account the server asks itself.
struct Identity {
  std::shared_ptr<const KeyRecord> key;  // nullptr: none
  std::string tenant;
};

// Names that stand for others while the server runs.
struct NameTable {
  std::string standard;  // where a request leaves its model out, or asks for "default"
  std::map<std::string, std::string, std::less<>> switched;  // name -> the one that answers now
};

// Thread-safe: its parts are, or do not change once the server runs.
struct Service {
  Service();
  ~Service();

  ModelPool* pool = nullptr;             // what is in memory; never null once the server runs
  InstalledModels* installed = nullptr;  // what can be loaded; null: nothing else
  LiveLibrary* library = nullptr;        // what can be fetched and removed; null: nothing
  Guarded<NameTable> names;
  std::unique_ptr<KeyRing> keys = std::make_unique<KeyRing>();
  std::unique_ptr<Ledger> ledger;  // never null once the server runs
  std::shared_ptr<Places> places = std::make_shared<Places>();
  Metrics metrics;
  std::int64_t started_seconds = 0;             // Unix time
  std::atomic<std::uint32_t> max_queued = 512;  // requests that may wait for one model
  std::function<bool()> is_stopping = [] { return false; };
  // Has an endpoint answer a request as if it came from the network, its key checked.
  std::function<void(http::Request, std::shared_ptr<http::Responder>)> ask;
  std::function<http::ServerStats()> transport = [] { return http::ServerStats(); };

  // The same for requests of our own, which no limit refuses.
  std::function<void(http::Request, std::shared_ptr<http::Responder>, Identity)> ask_as;

  std::unique_ptr<CollectionPool> collections;  // null: none are kept
  std::unique_ptr<Batches> batches;             // null: none are kept
  std::unique_ptr<ResponseStore> responses;
  std::unique_ptr<ToolHost> tool_host;  // null: no tools run here
  std::shared_ptr<EventHub> events;
  LiveConfig* settings = nullptr;         // null: they do not change
  std::unique_ptr<Regulator> regulator;   // null: nothing is regulated
  Guarded<std::map<int, int>> followers;  // of downloads that end with the last one: id -> number
  std::unique_ptr<GraphPool> graphs;      // null: none are run

  // Last, so that their jobs end first.  `prepare` parses and tokenizes; `embed` waits for vectors.
  std::unique_ptr<Workers> prepare, embed;

  // The model that a client names: any reference to an installed one, an alias, "default"; loaded
  // when it is not in memory.  Blocks.  Errors: 404 model_not_found, and what loading meets.
  Checked<Lease> find_model(const std::string& name, const AcquireOptions& options = {});
  // The same, but the name stands for itself, whatever was switched.
  Checked<Lease> find_own_model(const std::string& name, const AcquireOptions& options = {});
  // The model of the body's "model", with the body's keep_alive where the interface has one; the
  // standard one when `may_be_absent` and it is.
  Checked<Lease> model_of(const Call& call, const Json& body, bool may_be_absent = false);
  // What the name in the body's "model" says for requests that do not.
  Preset preset_of(const Json& body) const;
  // Only what is in memory; nullptr: it is not there.  No use of it.
  Lease find_loaded(const std::string& name) const;
  Lease find_loaded_as(const std::string& name) const;
  Lease hold(const Lease& lease, const AcquireOptions& options) const;
  Checked<Lease> with_preset(const std::string& name, Lease model) const;
  Lease load_adapted(const std::string& name, const AcquireOptions& options);
  // The name behind "default" and names that were switched.
  std::string meant_by(const std::string& name) const;
  Problem no_such_model(const std::string& name) const;
  // Blocks.
  Checked<Lease> load(const std::string& name, const AcquireOptions& options);
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
  std::shared_ptr<const KeyRecord> key;  // nullptr: none is needed
  std::shared_ptr<void> place;           // in Places; given back with the call
  std::shared_ptr<Account> account;      // last: it is closed before the place is given back
};

void send(Service& service, Call& call, http::Response response);
void send(Service& service, Call& call, Problem problem);

// Tokens of a prompt that was read for a call and is answered with no text.
void charge(const Call& call, const LoadedModel& model, std::int64_t tokens);

// What a model that cannot be had means to the client.
Problem model_problem(const std::string& name, const Error& error);

std::int64_t unix_seconds();

}  // namespace hearth::server
