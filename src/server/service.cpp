#include "server/service.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "base/ascii.h"
#include "base/log.h"
#include "base/utf8.h"
#include "library/latest_tag.h"
#include "library/local_models.h"
#include "server/access/door.h"
#include "server/batches/batches.h"
#include "server/collections/pool.h"
#include "server/endpoints.h"
#include "server/fields.h"
#include "server/graph_pool.h"
#include "server/interfaces.h"
#include "server/manage/events.h"
#include "server/manage/regulator.h"
#include "server/responses/store.h"
#include "server/tools/host.h"

namespace hearth::server {
namespace {

constexpr std::size_t max_model_id_bytes = 256;
constexpr double min_retry_seconds = 1, max_retry_seconds = 60;
constexpr std::string_view standard_name = "default";

}  // namespace

Service::Service() : responses(std::make_unique<ResponseStore>()) {}
Service::~Service() = default;

std::string Service::meant_by(const std::string& name) const {
  return names.with([&](const NameTable& table) {
    const auto switched = table.switched.find(name);
    if (switched != table.switched.end()) return switched->second;
    return name == standard_name ? table.standard : name;
  });
}

Lease Service::find_loaded(const std::string& asked) const {
  return find_loaded_as(meant_by(asked));
}

Lease Service::find_loaded_as(const std::string& id) const {
  const std::vector<Lease> models = pool->loaded();
  for (const Lease& lease : models)
    if (lease->id == id) return lease;
  // Ollama's clients name a tag always, or never.
  for (const Lease& lease : models)
    if (without_latest(lease->id) == without_latest(id)) return lease;
  // By another way of writing where it came from: hf.co/org/repo:q8_0.
  if (const auto wanted = parse_reference(id); wanted && wanted->is_remote())
    for (const Lease& lease : models)
      for (const std::string& own : {lease->id, lease->reference})
        if (const auto reference = parse_reference(own);
            reference && equal_ignoring_case(reference->text(), wanted->text()))
          return lease;
  const AdapterPlace adapted = find_adapter(models, without_latest(id));
  return adapted.model ? with_adapter(adapted.model, adapted.index) : nullptr;
}

Problem Service::no_such_model(const std::string& name) const {
  std::string known;
  for (const Lease& lease : pool->loaded()) known += (known.empty() ? "" : ", ") + lease->id;
  return Problem{
      404, "model_not_found",
      fmt::format("The model '{}' does not exist here; there is: {}", printable(name), known),
      "model", 0};
}

Problem model_problem(const std::string& name, const Error& error) {
  Problem problem = to_problem(error);
  const std::string shown = printable(name);
  switch (error.kind()) {
    case ErrorKind::not_found:
      return {404, "model_not_found",
              fmt::format("The model '{}' does not exist here. {}", shown, error.message()),
              "model", 0};
    case ErrorKind::exhausted:
      problem.code = "insufficient_memory";
      break;
    case ErrorKind::corrupt:
    case ErrorKind::io:
      log_warning("model cannot be loaded model='{}' error='{}'", shown,
                  printable(error.message()));
      problem.code = "model_load_failed";
      problem.message = fmt::format(
          "The model '{}' cannot be loaded: its file is {}; `hearth "
          "verify` tells more",
          shown, error.kind() == ErrorKind::io ? "unreadable" : "corrupt");
      break;
    case ErrorKind::unsupported:
      problem.code = "model_load_failed";
      break;
    default:
      break;
  }
  problem.param = "model";
  return problem;
}

Checked<Lease> Service::find_model(const std::string& asked, const AcquireOptions& options) {
  // Again, when another one was switched to between the two looks.
  for (int look = 0; look < 2; ++look)
    if (const Lease lease = find_loaded(asked))
      if (Lease held = hold(lease, options)) return with_preset(asked, std::move(held));
  return with_preset(asked, TRY(load(meant_by(asked), options)));
}

// With the adapters that the name brings with it.
Checked<Lease> Service::with_preset(const std::string& name, Lease model) const {
  if (library == nullptr) return model;
  auto made = library->library->with_preset(model, installed->preset(meant_by(name)));
  if (made) return *std::move(made);
  // Where it lies is for the log.
  log_warning("adapter_not_used name={} why={}", printable(name),
              printable(made.error().message()));
  return unsupported_value(
      "model", fmt::format("'{}' brings an adapter with it that does not fit, or cannot be read",
                           printable(name)));
}

// A use of a model in memory; nullptr: it has left.
Lease Service::hold(const Lease& lease, const AcquireOptions& options) const {
  if (Lease held = pool->acquire_loaded(lease->id, options)) return held;
  const AdapterPlace adapted = find_adapter(pool->loaded(), lease->id);
  if (!adapted.model) return nullptr;
  // It holds its base, whose time begins anew with each use.
  const Lease base = pool->acquire_loaded(adapted.model->id, options);
  return base ? with_adapter(base, adapted.index) : nullptr;
}

Checked<Lease> Service::find_own_model(const std::string& name, const AcquireOptions& options) {
  if (const Lease lease = find_loaded_as(name))
    if (Lease held = hold(lease, options)) return held;
  return load(name, options);
}

Checked<Lease> Service::load(const std::string& name, const AcquireOptions& options) {
  if (!installed) return no_such_model(name);
  const Workers::Aside aside;  // it takes seconds
  if (Lease adapted = load_adapted(name, options)) return adapted;
  auto lease = pool->acquire(name, options);
  if (!lease) return model_problem(name, lease.error());
  return *std::move(lease);
}

// "MODEL:ADAPTER" of a model that is not in memory; nullptr: it is none.  Before the name is looked
// for: what follows a model's name may be a tag of it.
Lease Service::load_adapted(const std::string& name, const AcquireOptions& options) {
  const auto colon = name.rfind(':');
  if (library == nullptr || colon == name.npos) return nullptr;
  const std::string adapter = name.substr(colon + 1);
  if (std::ranges::none_of(library->library->adapters(),
                           [&](const AdapterWish& wish) { return wish.name == adapter; }))
    return nullptr;
  const auto base = pool->acquire(name.substr(0, colon), options);
  if (!base) return nullptr;
  const AdapterPlace place = find_adapter({*base}, adapter);
  return place.model ? with_adapter(*base, place.index) : nullptr;
}

Checked<Lease> Service::model_of(const Call& call, const Json& body, bool may_be_absent) {
  const std::optional<std::string> id = TRY(read_text(body, "model", max_model_id_bytes));
  if (!id && !may_be_absent) return invalid_value("model", "is missing");
  AcquireOptions options;
  options.stop = call.responder->stop();
  if (interface_of(call.request) == Interface::ollama)
    options.keep_alive = TRY(read_keep_alive(body));
  return find_model(id.value_or(std::string(standard_name)), options);
}

Preset Service::preset_of(const Json& body) const {
  if (!installed) return {};
  const Json* name = body.find("model");
  return installed->preset(
      meant_by(name && name->is_string() ? name->as_string() : std::string(standard_name)));
}

bool Service::is_full() const {
  bool has_generator = false;
  for (const Lease& lease : pool->loaded()) {
    if (lease->model().info().kind != ModelKind::generator) continue;
    has_generator = true;
    if (lease->runner->stats().queued < max_queued) return false;
  }
  return has_generator;
}

int Service::retry_after_seconds() const {
  double ahead = 0, abreast = 0;
  for (const Lease& lease : pool->loaded()) {
    const RunnerStats stats = lease->runner->stats();
    ahead += stats.queued;
    abreast += stats.running;
  }
  const double seconds = metrics.request_seconds.mean() * ahead / std::max(abreast, 1.0);
  return static_cast<int>(std::ceil(std::clamp(seconds, min_retry_seconds, max_retry_seconds)));
}

void send(Service& service, Call& call, http::Response response) {
  service.metrics.count_answer(call.endpoint->path, response.status);
  if (call.account) call.account->status = response.status;
  for (http::Header& header : access_headers(call)) response.headers.push_back(std::move(header));
  call.responder->send(std::move(response));
}

void send(Service& service, Call& call, Problem problem) {
  if (problem.status == 503 && problem.code != "shutting_down")
    problem.retry_after_seconds = service.retry_after_seconds();
  send(service, call, error_response(call.request, problem));
}

void charge(const Call& call, const LoadedModel& model, std::int64_t tokens) {
  if (!call.account) return;
  call.account->model = model.id;
  call.account->prompt_tokens += tokens;
}

std::int64_t unix_seconds() { return std::time(nullptr); }

}  // namespace hearth::server
