#include "server/service.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "base/utf8.h"
#include "library/local_models.h"
#include "server/collections/pool.h"
#include "server/endpoints.h"
#include "server/fields.h"
#include "server/interfaces.h"
#include "server/responses/store.h"

namespace hearth::server {
namespace {

constexpr std::size_t max_model_id_bytes = 256;
constexpr double min_retry_seconds = 1, max_retry_seconds = 60;

std::string_view without_latest(std::string_view id) {
  constexpr std::string_view tag = ":latest";
  if (id.ends_with(tag)) id.remove_suffix(tag.size());
  return id;
}

}  // namespace

Service::Service() : responses(std::make_unique<ResponseStore>()) {}
Service::~Service() = default;

Checked<Lease> Service::find_model(std::string_view id) const {
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
            reference && equal_without_case(reference->text(), wanted->text()))
          return lease;
  std::string known;
  for (const Lease& lease : models) known += (known.empty() ? "" : ", ") + lease->id;
  return Problem{
      404, "model_not_found",
      fmt::format("The model '{}' does not exist here; there is: {}", printable(id), known),
      "model", 0};
}

Checked<Lease> Service::model_of(const Json& body, bool may_be_absent) const {
  const std::optional<std::string> id = TRY(read_text(body, "model", max_model_id_bytes));
  if (!id && may_be_absent && !models.empty()) return models.front();
  if (!id) return invalid_value("model", "is missing");
  return find_model(*id);
}

bool Service::is_full() const {
  bool has_generator = false;
  for (const Lease& lease : models) {
    if (lease->model().info().kind != ModelKind::generator) continue;
    has_generator = true;
    if (lease->runner->stats().queued < max_queued) return false;
  }
  return has_generator;
}

int Service::retry_after_seconds() const {
  double ahead = 0, abreast = 0;
  for (const Lease& lease : models) {
    const RunnerStats stats = lease->runner->stats();
    ahead += stats.queued;
    abreast += stats.running;
  }
  const double seconds = metrics.request_seconds.mean() * ahead / std::max(abreast, 1.0);
  return static_cast<int>(std::ceil(std::clamp(seconds, min_retry_seconds, max_retry_seconds)));
}

void send(Service& service, Call& call, http::Response response) {
  service.metrics.count_answer(call.endpoint->path, response.status);
  call.responder->send(std::move(response));
}

void send(Service& service, Call& call, Problem problem) {
  if (problem.status == 503 && problem.code != "shutting_down")
    problem.retry_after_seconds = service.retry_after_seconds();
  send(service, call, error_response(call.request, problem));
}

std::int64_t unix_seconds() { return std::time(nullptr); }

}  // namespace hearth::server
