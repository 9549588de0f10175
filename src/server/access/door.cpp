#include "server/access/door.h"

#include <fmt/core.h>

#include "server/describe.h"
#include "server/endpoints.h"
#include "server/interfaces.h"

namespace hearth::server {
namespace {

// Looking costs nothing; what stands for other requests is counted with those.
bool is_metered(const Endpoint& endpoint) {
  return endpoint.scope != Scope::any && endpoint.scope != Scope::metrics &&
         endpoint.method != "GET" && endpoint.method != "HEAD";
}

// "6m0s"
std::string span_text(std::int64_t seconds) {
  return seconds < 60 ? fmt::format("{}s", seconds)
                      : fmt::format("{}m{}s", seconds / 60, seconds % 60);
}

// Source: OpenAI API reference, "Rate limits", headers.
void add_openai(http::Headers& headers, const char* what, const Meter::Standing& standing) {
  headers.push_back({fmt::format("x-ratelimit-limit-{}", what), fmt::format("{}", standing.limit)});
  headers.push_back(
      {fmt::format("x-ratelimit-remaining-{}", what), fmt::format("{}", standing.left)});
  headers.push_back({fmt::format("x-ratelimit-reset-{}", what), span_text(standing.reset_seconds)});
}

// Source: Anthropic API reference, "Rate limits", response headers.
void add_anthropic(http::Headers& headers, const char* what, const Meter::Standing& standing) {
  const auto add = [&](const char* name, std::string value) {
    headers.push_back({fmt::format("anthropic-ratelimit-{}-{}", what, name), std::move(value)});
  };
  add("limit", fmt::format("{}", standing.limit));
  add("remaining", fmt::format("{}", standing.left));
  add("reset", time_text((unix_seconds() + standing.reset_seconds) * 1'000'000));
}

void add_limits(http::Headers& headers, Interface interface, const KeyRecord& key,
                const Meter& meter) {
  const auto add = interface == Interface::anthropic ? add_anthropic : add_openai;
  const Moment now = Moment::now();
  if (const auto standing = meter.requests(key.limits, now)) add(headers, "requests", *standing);
  if (const auto standing = meter.tokens(key.limits, now)) add(headers, "tokens", *standing);
}

http::Response refusal_response(const http::Request& request, const Meter::Refusal& refusal,
                                const KeyRecord& key, Meter& meter) {
  meter.note_refused();
  http::Response response = error_response(
      request, {429, refusal.code, refusal.message, "", refusal.retry_after_seconds});
  // To wait for another day is for people to decide.
  if (refusal.code == "insufficient_quota") response.headers.push_back({"x-should-retry", "false"});
  add_limits(response.headers, interface_of(request), key, meter);
  return response;
}

// A refusal is an event of its own for who looks after the server.
void write_down(Service& service, const Endpoint& endpoint, const http::Request& request,
                const KeyRecord* key, int status) {
  Account account;
  account.ledger = service.ledger.get();
  account.request_id = request.id;
  account.peer = request.peer;
  account.method = request.method;
  account.route = endpoint.path;
  account.trace = trace_of(request.header("traceparent"));
  account.status = status;
  if (!key) return;
  account.key_id = key->id;
  account.key_name = key->name;
}

void open_account(Service& service, Call& call, std::shared_ptr<Meter> meter,
                  std::shared_ptr<const KeyRecord> key) {
  call.account = std::make_shared<Account>();
  Account& account = *call.account;
  account.ledger = service.ledger.get();
  account.meter = std::move(meter);
  account.request_id = call.request.id;
  account.peer = call.request.peer;
  account.method = call.request.method;
  account.route = call.endpoint->path;
  account.trace = trace_of(call.request.header("traceparent"));
  account.began = call.began;
  call.key = std::move(key);
  if (!call.key) return;
  account.key_id = call.key->id;
  account.key_name = call.key->name;
  call.tenant = call.key->id;
}

}  // namespace

std::optional<http::Response> refuse_at_door(Service& service, const Endpoint& endpoint,
                                             const http::Request& request) {
  const KeyRing::Verdict verdict = service.keys->check(request.headers, endpoint.scope);
  if (verdict.refusal) {
    const bool is_unknown = verdict.status == 401;
    http::Response response = error_response(
        request, {verdict.status, is_unknown ? "invalid_api_key" : "insufficient_scope",
                  verdict.refusal, "", 0});
    if (is_unknown) response.headers.push_back({"WWW-Authenticate", "Bearer"});
    write_down(service, endpoint, request, verdict.key.get(), verdict.status);
    return response;
  }
  if (!verdict.key || !is_metered(endpoint)) return std::nullopt;
  const std::shared_ptr<Meter> meter = service.ledger->meter(verdict.key->id);
  const auto refusal = meter->refusal(verdict.key->limits, Moment::now());
  if (!refusal) return std::nullopt;
  write_down(service, endpoint, request, verdict.key.get(), 429);
  return refusal_response(request, *refusal, *verdict.key, *meter);
}

std::optional<http::Response> enter(Service& service, Call& call) {
  const KeyRing::Verdict verdict = service.keys->check(call.request.headers, call.endpoint->scope);
  if (verdict.refusal)
    return error_response(call.request,
                          {verdict.status, "invalid_api_key", verdict.refusal, "", 0});
  std::shared_ptr<Meter> meter;
  if (verdict.key && is_metered(*call.endpoint)) {
    meter = service.ledger->meter(verdict.key->id);
    if (const auto refusal = meter->begin(verdict.key->limits, Moment::now())) {
      write_down(service, *call.endpoint, call.request, verdict.key.get(), 429);
      return refusal_response(call.request, *refusal, *verdict.key, *meter);
    }
  }
  open_account(service, call, std::move(meter), verdict.key);
  return std::nullopt;
}

void enter_as(Service& service, Call& call, Identity identity) {
  std::shared_ptr<Meter> meter;
  if (identity.key) {
    meter = service.ledger->meter(identity.key->id);
    (void)meter->begin({.open = 0}, Moment::now());
  }
  open_account(service, call, std::move(meter), identity.key);
  call.tenant = std::move(identity.tenant);
}

http::Headers access_headers(const Call& call) {
  http::Headers headers;
  if (!call.account) return headers;
  if (!call.account->trace.parent_id.empty())
    headers.push_back({"traceparent", call.account->trace.header()});
  if (call.key && call.account->meter)
    add_limits(headers, interface_of(call.request), *call.key, *call.account->meter);
  return headers;
}

}  // namespace hearth::server
