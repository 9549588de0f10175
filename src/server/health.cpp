// GET /, /livez, /readyz, /health and /metrics.
#include <fmt/core.h>

#include "server/manage/regulator.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

// Clients that look for Ollama on its usual port look for its own words.
void root(Service& service, Call call) {
  const std::string* host = call.request.header("host");
  const bool is_ollama = host && host->ends_with(":11434");
  send(service, call,
       {200,
        {{"Content-Type", "text/plain; charset=utf-8"}},
        is_ollama ? "Ollama is running" : "Hearth is running\n"});
}

// Lives as long as the loop answers, whatever the models do.
void livez(Service& service, Call call) {
  send(service, call, http::json_response("{\"status\":\"ok\"}"));
}

// Ready: a request for a model would be taken now.
void readyz(Service& service, Call call) {
  std::string_view reason;
  if (service.is_stopping()) reason = "stopping";
  if (service.pool->loaded().empty() && !service.installed) reason = "no model";
  if (service.is_full()) reason = "queue full";
  if (reason.empty())
    send(service, call, http::json_response("{\"status\":\"ok\"}"));
  else
    send(service, call, Problem{503, "not_ready", std::string(reason), "", 0});
}

struct RunnerMetric {
  std::string_view name, type, help;
  double (*value)(const RunnerStats& stats);
};

constexpr RunnerMetric runner_metrics[] = {
    {"hearth_requests_running", "gauge", "Requests being computed.",
     [](const RunnerStats& s) { return double(s.running); }},
    {"hearth_requests_queued", "gauge", "Requests waiting for room.",
     [](const RunnerStats& s) { return double(s.queued); }},
    {"hearth_requests_done_total", "counter", "Requests that ended well.",
     [](const RunnerStats& s) { return double(s.requests_done); }},
    {"hearth_requests_cancelled_total", "counter", "Requests whose client left.",
     [](const RunnerStats& s) { return double(s.requests_cancelled); }},
    {"hearth_requests_failed_total", "counter", "Requests that ended in an error.",
     [](const RunnerStats& s) { return double(s.requests_failed); }},
    {"hearth_prompt_tokens_total", "counter", "Tokens of prompts.",
     [](const RunnerStats& s) { return double(s.prompt_tokens); }},
    {"hearth_guessed_tokens_total", "counter", "Tokens guessed before they were chosen.",
     [](const RunnerStats& s) { return double(s.guessed_tokens); }},
    {"hearth_guessed_right_total", "counter", "Guessed tokens that were chosen.",
     [](const RunnerStats& s) { return double(s.guessed_right); }},
    {"hearth_cached_tokens_total", "counter", "Tokens of prompts found in the prefix cache.",
     [](const RunnerStats& s) { return double(s.cached_tokens); }},
    {"hearth_completion_tokens_total", "counter", "Tokens generated.",
     [](const RunnerStats& s) { return double(s.completion_tokens); }},
    {"hearth_kv_pages_used", "gauge", "Pages of keys and values held by requests.",
     [](const RunnerStats& s) { return double(s.kv_pages_used); }},
    {"hearth_kv_pages_cached", "gauge", "Pages kept for prompts that begin the same.",
     [](const RunnerStats& s) { return double(s.kv_pages_cached); }},
    {"hearth_kv_pages_total", "gauge", "Pages there are.",
     [](const RunnerStats& s) { return double(s.kv_pages_total); }},
    {"hearth_steps_total", "counter", "Batches computed.",
     [](const RunnerStats& s) { return double(s.steps); }},
    {"hearth_busy_seconds_total", "counter", "Time spent computing.",
     [](const RunnerStats& s) { return s.busy_seconds; }},
};

struct TransportMetric {
  std::string_view name, type, help;
  std::uint64_t http::ServerStats::* value;
};

constexpr TransportMetric transport_metrics[] = {
    {"hearth_connections_open", "gauge", "Connections of clients.",
     &http::ServerStats::connections_open},
    {"hearth_connections_total", "counter", "Connections taken.",
     &http::ServerStats::connections_total},
    {"hearth_connections_refused_total", "counter", "Connections over a limit.",
     &http::ServerStats::connections_refused},
    {"hearth_http_requests_total", "counter", "Requests read.", &http::ServerStats::requests_total},
    {"hearth_http_requests_open", "gauge", "Requests not yet answered.",
     &http::ServerStats::requests_open},
    {"hearth_received_bytes_total", "counter", "Bytes from clients.", &http::ServerStats::bytes_in},
    {"hearth_sent_bytes_total", "counter", "Bytes to clients.", &http::ServerStats::bytes_out},
};

struct GovernorMetric {
  std::string_view name, help;
  double (*value)(const LibraryTuning& tuning);
};

constexpr GovernorMetric governor_metrics[] = {
    {"threads", "Compute threads", [](const LibraryTuning& t) { return double(t.threads); }},
    {"step_tokens", "Rows of one batch",
     [](const LibraryTuning& t) { return double(t.runner.step_tokens); }},
    {"parallel", "Answers of one model computed together",
     [](const LibraryTuning& t) { return double(t.runner.max_running); }},
};

void append_governor(std::string& page, const Regulator::View& view) {
  for (const GovernorMetric& metric : governor_metrics) {
    const std::string name = fmt::format("hearth_{}", metric.name);
    append_metric(page, name, "gauge",
                  fmt::format("{}, as the governor leaves them.", metric.help));
    append_sample(page, name, "", metric.value(view.now));
    append_metric(page, name + "_wanted", "gauge",
                  fmt::format("{}, as the settings ask for.", metric.help));
    append_sample(page, name + "_wanted", "", metric.value(view.wanted));
  }
  append_metric(page, "hearth_strain", "gauge", "What the machine suffers from: 0, 1 or 2.");
  for (std::size_t i = 0; i < hardware::causes; ++i)
    append_sample(page, "hearth_strain", label("cause", name_of(static_cast<hardware::Cause>(i))),
                  view.strain.of[i].level);
}

void metrics(Service& service, Call call) {
  std::string page;
  std::vector<RunnerStats> stats;
  const std::vector<Lease> models = service.pool->loaded();
  for (const Lease& lease : models) stats.push_back(lease->runner->stats());
  for (const RunnerMetric& metric : runner_metrics) {
    append_metric(page, metric.name, metric.type, metric.help);
    for (std::size_t i = 0; i < stats.size(); ++i)
      append_sample(page, metric.name, label("model", models[i]->id), metric.value(stats[i]));
  }
  constexpr std::string_view ends = "hearth_prefix_ends_total";
  append_metric(page, ends, "counter", "Prompts, by why not more of them was in the prefix cache.");
  for (std::size_t i = 0; i < stats.size(); ++i)
    for (std::size_t end = 0; end < prefix_end_names.size(); ++end)
      append_sample(page, ends,
                    fmt::format("{},{}", label("model", models[i]->id),
                                label("reason", prefix_end_names[end])),
                    static_cast<double>(stats[i].prefix_ends[end]));
  const http::ServerStats transport = service.transport();
  for (const TransportMetric& metric : transport_metrics) {
    append_metric(page, metric.name, metric.type, metric.help);
    append_sample(page, metric.name, "", static_cast<double>(transport.*metric.value));
  }
  service.metrics.first_token_seconds.append_to(page, "hearth_first_token_seconds",
                                                "From request to first token.");
  service.metrics.request_seconds.append_to(page, "hearth_request_seconds",
                                            "From request to end of answer.");
  page += service.metrics.answers_page();
  if (service.regulator) append_governor(page, service.regulator->view());
  append_metric(page, "hearth_start_time_seconds", "gauge", "When the server started, Unix time.");
  append_sample(page, "hearth_start_time_seconds", "",
                static_cast<double>(service.started_seconds));
  send(service, call,
       {200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, std::move(page)});
}

constexpr Endpoint row(std::string_view path, std::string_view summary, Scope scope,
                       std::string_view response, void (*handle)(Service&, Call)) {
  return {.method = "GET",
          .path = path,
          .summary = summary,
          .scope = scope,
          .request_schema = "",
          .response_schema = response,
          .place = Endpoint::Place::loop,
          .handle = handle,
          .generates = false};
}

}  // namespace

const Endpoint root_endpoint = row("/", "Says that the server runs.", Scope::none, "", root);
const Endpoint livez_endpoint =
    row("/livez", "Whether the server answers at all.", Scope::none, "Health", livez);
const Endpoint readyz_endpoint =
    row("/readyz", "Whether a request would be taken now.", Scope::none, "Health", readyz);
const Endpoint health_endpoint =
    row("/health", "Whether a request would be taken now.", Scope::none, "Health", readyz);
const Endpoint metrics_endpoint =
    row("/metrics", "Counters for Prometheus.", Scope::metrics, "", metrics);

}  // namespace hearth::server
