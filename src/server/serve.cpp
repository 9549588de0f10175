#include "server/serve.h"

#include <fmt/core.h>

#include "base/files.h"
#include "config/live.h"
#include "hardware/system_files.h"
#include "http/websocket.h"
#include "server/access/door.h"
#include "server/batches/batches.h"
#include "server/collections/pool.h"
#include "server/endpoints.h"
#include "server/graph_pool.h"
#include "server/interfaces.h"
#include "server/manage/manage.h"
#include "server/manage/regulator.h"
#include "server/manage/settings.h"
#include "server/responses/store.h"
#include "server/tools/host.h"

namespace hearth::server {
namespace {

constexpr int prepare_threads = 2, embed_threads = 4;
constexpr std::size_t max_waiting_jobs = 1024;

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

http::Response with_header(http::Response response, std::string name, std::string value) {
  response.headers.push_back({std::move(name), std::move(value)});
  return response;
}

}  // namespace

struct ApiServer::State {
  ~State() {
    http.reset();
    if (service.settings) service.settings->forget(settings_observer);
    service.regulator.reset();
    if (service.library) {
      service.library->stop_watching();
      service.library->lifecycles.forget(lifecycle_observer);
      service.library->downloads->forget_all();
    }
    if (service.events) service.events->close();
    service.batches.reset();
    if (service.tool_host) service.tool_host->leave();
    service.prepare.reset();
    service.embed.reset();
    service.responses->cancel_all();
    // What still runs for clients that are gone ends within a step; it refers to `service`.
    const std::shared_ptr<Places> places = service.places;
    for (std::uint32_t open = places->open; open > 0; open = places->open) places->open.wait(open);
  }

  std::optional<http::Response> admit(const http::Request& request);
  // `identity`: of a request of our own.
  void handle(http::Request request, std::shared_ptr<http::Responder> responder,
              std::optional<Identity> identity = std::nullopt);
  void take_place(Call& call);
  void run_on(Workers& workers, Call call);

  // What happens in the library reaches those who listen.
  void pass_events_on();
  // Settings and the machine's condition say what the library may do.
  void regulate(LiveConfig& settings);

  std::unique_ptr<ModelPool> own_pool;  // of models that were given
  int lifecycle_observer = 0, settings_observer = 0;
  Service service;
  std::unique_ptr<http::Server> http;
};

void ApiServer::State::pass_events_on() {
  service.events =
      std::make_shared<EventHub>(state_of_system, [this] { return service.is_stopping(); });
  if (!service.library) return;
  // Told from threads of the library, which may be on their way when the server ends.
  const std::shared_ptr<EventHub> hub = service.events;
  lifecycle_observer = service.library->lifecycles.observe(
      [hub](const LifecycleView& view) { hub->tell(EventHub::Topic::models, event_of(view)); });
  service.library->watch([hub](const LibraryNews& news) {
    Json came = Json::array(), left = Json::array();
    for (const std::string& name : news.came) came.push_back(name);
    for (const std::string& name : news.left) left.push_back(name);
    hub->tell(
        EventHub::Topic::models,
        Json::object({{"event", "library"}, {"came", std::move(came)}, {"left", std::move(left)}}));
  });
  service.library->downloads->observe([hub](const Download& download) {
    hub->tell(EventHub::Topic::downloads, event_of(download));
  });
}

void ApiServer::State::regulate(LiveConfig& settings) {
  service.settings = &settings;
  Regulator::Hooks hooks;
  hooks.tune = [library = service.library](const LibraryTuning& tuning) {
    library->library->tune(tuning);
  };
  hooks.tell = [hub = service.events](const Json& event) {
    hub->tell(EventHub::Topic::system, event);
  };
  hooks.look = [root = hardware::machine_root()] { return hardware::read_condition(root); };
  service.regulator = std::make_unique<Regulator>(std::move(hooks), settings.now()->config);
  settings_observer = follow_settings(service);
}

std::optional<http::Response> ApiServer::State::admit(const http::Request& request) {
  const auto answer = [&](std::string_view route, http::Response response) {
    service.metrics.count_answer(route, response.status);
    return response;
  };
  const Route route = find_route(request.method, request.path);
  if (request.method == "OPTIONS" && (request.path == "*" || !route.allowed.empty()))
    return answer("other", {204, {{"Allow", route.allowed}}, ""});
  if (route.allowed.empty()) return answer("other", error_response(request, unknown_path(request)));
  if (!route.endpoint)
    return answer(
        "other", with_header(error_response(
                                 request, {405, "method_not_allowed",
                                           fmt::format("This URL takes {}", route.allowed), "", 0}),
                             "Allow", route.allowed));
  if (auto refusal = refuse_at_door(service, *route.endpoint, request))
    return answer(route.endpoint->path, std::move(*refusal));
  if (route.endpoint->streams_events && http::asks_for_socket(request))
    if (auto refusal = http::refuse_socket(request))
      return answer(route.endpoint->path, std::move(*refusal));
  // Told at the door, a client of a full server waits for nothing.
  if (!route.endpoint->generates || !service.is_full()) return std::nullopt;
  return answer(route.endpoint->path,
                error_response(request, {503, "overloaded", "the queue is full", "",
                                         service.retry_after_seconds()}));
}

void ApiServer::State::take_place(Call& call) {
  ++service.places->open;
  call.place = std::shared_ptr<void>(nullptr, [places = service.places](void*) {
    --places->open;
    places->open.notify_all();
  });
}

void ApiServer::State::run_on(Workers& workers, Call call) {
  // The call is needed on either side of the post: by the job, or to say that there is none.
  auto shared = std::make_shared<Call>(std::move(call));
  const bool is_posted = workers.post([this, shared]() mutable {
    const Endpoint* endpoint = shared->endpoint;
    Call mine = std::move(*shared);
    shared.reset();
    endpoint->handle(service, std::move(mine));
  });
  if (!is_posted)
    send(service, *shared, Problem{503, "overloaded", "too many requests are waiting", "", 0});
}

void ApiServer::State::handle(http::Request request, std::shared_ptr<http::Responder> responder,
                              std::optional<Identity> identity) {
  Route route = find_route(request.method, request.path);
  Call call;
  call.request = std::move(request);
  call.responder = std::move(responder);
  call.endpoint = route.endpoint;
  call.rest = std::move(route.rest);
  call.parts = std::move(route.parts);
  take_place(call);
  if (identity)
    enter_as(service, call, *std::move(identity));
  else if (auto refusal = enter(service, call))
    return send(service, call, std::move(*refusal));
  switch (call.endpoint->place) {
    case Endpoint::Place::loop:
      call.endpoint->handle(service, std::move(call));
      break;
    case Endpoint::Place::worker:
      run_on(*service.prepare, std::move(call));
      break;
    case Endpoint::Place::embedder:
      run_on(*service.embed, std::move(call));
      break;
  }
}

ApiServer::ApiServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
ApiServer::~ApiServer() = default;

Result<std::unique_ptr<ApiServer>> ApiServer::create(const ServerConfig& config,
                                                     std::vector<Lease> models,
                                                     const ApiServerOptions& options) {
  auto state = std::make_unique<State>();
  state->own_pool = std::make_unique<ModelPool>(ModelSource(), PoolOptions());
  state->service.pool = state->own_pool.get();
  if (!models.empty())
    state->service.names.with([&](NameTable& names) { names.standard = models.front()->id; });
  for (Lease& model : models) state->own_pool->adopt(std::move(model));
  return start(std::move(state), config, options);
}

Result<std::unique_ptr<ApiServer>> ApiServer::create(const ServerConfig& config,
                                                     LiveLibrary& library,
                                                     const ApiServerOptions& options) {
  auto state = std::make_unique<State>();
  Service& service = state->service;
  service.library = &library;
  service.pool = &library.pool();
  service.installed = &library.installed;
  service.names.with([&](NameTable& names) { names.standard = options.standard_model; });
  return start(std::move(state), config, options);
}

Result<std::unique_ptr<ApiServer>> ApiServer::start(std::unique_ptr<State> state,
                                                    const ServerConfig& config,
                                                    const ApiServerOptions& options) {
  raise_open_file_limit();
  Service& service = state->service;
  service.keys =
      TRY(KeyRing::open({.lines = config.api_key_file, .store = options.access.key_store}));
  const bool has_keys = service.keys->is_needed();
  if (!is_loopback(config.host) && !has_keys)
    return Error(ErrorKind::invalid,
                 fmt::format("server.host = '{}': opens the server to the network; needs "
                             "server.api_key_file, or keys that `hearth keys create` makes",
                             config.host));
  LedgerOptions ledger;
  ledger.usage_file = options.access.usage_file;
  if (has_keys || options.access.always_audits) ledger.audit_file = options.access.audit_log;
  service.ledger = TRY(Ledger::open(std::move(ledger)));
  service.max_queued = static_cast<std::uint32_t>(config.queue);
  service.started_seconds = unix_seconds();
  if (!options.collections.folder.empty()) {
    vectors::StoreOptions store;
    store.is_synced = !options.collections.relaxed;
    store.hot_bytes = static_cast<std::uint64_t>(options.collections.hot_mb) << 20;
    store.warm_bytes = static_cast<std::uint64_t>(options.collections.warm_mb) << 20;
    service.collections = std::make_unique<CollectionPool>(options.collections.folder, store);
  }
  service.tool_host = std::make_unique<ToolHost>(options.tools);
  const std::int64_t threads =
      options.settings ? options.settings->now()->config.runtime.threads : 0;
  if (service.installed) service.graphs = std::make_unique<GraphPool>(static_cast<int>(threads));
  state->pass_events_on();
  if (options.settings && service.library) state->regulate(*options.settings);
  service.prepare = std::make_unique<Workers>(prepare_threads, max_waiting_jobs);
  service.embed = std::make_unique<Workers>(embed_threads, max_waiting_jobs);

  State* raw = state.get();
  service.ask = [raw](http::Request request, std::shared_ptr<http::Responder> responder) {
    if (auto refusal = raw->admit(request)) return responder->send(std::move(*refusal));
    raw->handle(std::move(request), std::move(responder));
  };
  service.ask_as = [raw](http::Request request, std::shared_ptr<http::Responder> responder,
                         Identity identity) {
    raw->handle(std::move(request), std::move(responder), std::move(identity));
  };
  if (service.collections && options.listens)
    service.batches = std::make_unique<Batches>(service, options.collections.folder + "-batches");
  if (!options.listens) return std::unique_ptr<ApiServer>(new ApiServer(std::move(state)));

  http::ServerOptions http_options;
  http_options.host = config.host;
  http_options.port = static_cast<std::uint16_t>(config.port);
  http_options.allowed_hosts = config.allow_host;
  http_options.allowed_origins = config.allow_origin;
  http_options.tls_certificate = config.tls_cert;
  http_options.tls_key = config.tls_key;
  http_options.max_body_bytes = static_cast<std::size_t>(config.max_body_bytes);
  http_options.stop_on_signals = options.stop_on_signals;
  http::Handler handler;
  handler.admit = [raw](const http::Request& request) { return raw->admit(request); };
  handler.handle = [raw](http::Request request, std::shared_ptr<http::Responder> responder) {
    raw->handle(std::move(request), std::move(responder));
  };
  state->http = TRY(http::Server::create(http_options, std::move(handler)));
  service.is_stopping = [http = state->http.get()] { return http->is_stopping(); };
  service.transport = [http = state->http.get()] { return http->stats(); };
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(state)));
}

std::string ApiServer::url() const { return state_->http->url(); }
std::uint16_t ApiServer::port() const { return state_->http->port(); }
void ApiServer::ask(http::Request request, std::shared_ptr<http::Responder> responder) {
  state_->service.ask(std::move(request), std::move(responder));
}
void ApiServer::run() { state_->http->run(); }
void ApiServer::stop() { state_->http->stop(); }

}  // namespace hearth::server
