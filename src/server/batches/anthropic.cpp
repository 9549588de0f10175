// /v1/messages/batches.  Source: Anthropic API reference, "Message Batches".
#include <fmt/core.h>

#include <algorithm>

#include "base/ascii.h"
#include "base/utf8.h"
#include "server/batches/batches.h"
#include "server/collections/files.h"
#include "server/describe.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

constexpr std::string_view prefix = "msgbatch_";

std::string time_of(std::int64_t seconds) { return time_text(seconds * 1'000'000); }
Json time_or_null(std::int64_t seconds) { return seconds ? Json(time_of(seconds)) : Json(); }

Json describe(const Batch& batch) {
  const std::int64_t open = batch.total - batch.completed - batch.failed;
  const bool is_cancelled = batch.status == BatchStatus::cancelled;
  const bool is_expired = batch.status == BatchStatus::expired;
  return Json::object(
      {{"id", batch.id},
       {"type", "message_batch"},
       {"processing_status", batch.is_over()                           ? "ended"
                             : batch.status == BatchStatus::cancelling ? "canceling"
                                                                       : "in_progress"},
       {"request_counts", Json::object({{"processing", batch.is_over() ? 0 : open},
                                        {"succeeded", batch.completed},
                                        {"errored", batch.failed},
                                        {"canceled", is_cancelled ? open : 0},
                                        {"expired", is_expired ? open : 0}})},
       {"created_at", time_of(batch.created)},
       {"expires_at", time_of(batch.expires)},
       {"ended_at", time_or_null(batch.ended)},
       {"cancel_initiated_at", time_or_null(batch.cancelling)},
       {"archived_at", Json()},
       {"results_url", batch.is_over()
                           ? Json(fmt::format("/v1/messages/batches/{}/results", batch.id))
                           : Json()}});
}

// As a client reaches us: the SDK follows it.
Json describe_for(const Call& call, const Batch& batch) {
  Json json = describe(batch);
  const std::string* host = call.request.header("Host");
  if (const Json* path = json.find("results_url"); host && path->is_string())
    json.set("results_url", fmt::format("{}://{}{}", call.request.is_tls ? "https" : "http",
                                        printable(*host, 255), path->as_string()));
  return json;
}

Checked<Batch> find(Service& service, const Call& call) {
  Batches* batches = TRY(batches_of(service));
  auto batch = batches->find(call.parts.at(0), call.tenant);
  if (!batch || !batch->id.starts_with(prefix))
    return Problem{404, "not_found",
                   fmt::format("There is no batch '{}'", printable(call.parts.at(0))), "id", 0};
  return *batch;
}

Checked<Json> create(Service& service, const Call& call) {
  Batches* batches = TRY(batches_of(service));
  const Json body = TRY(parse_body(call.request.body));
  const Json* requests = body.find("requests");
  if (!requests || !requests->is_array() || requests->size() == 0)
    return invalid_value("requests", "needs a list of {custom_id, params}");
  std::string input;
  for (const Json& request : requests->as_array()) {
    const Json* id = request.find("custom_id");
    const Json* params = request.find("params");
    if (!id || !id->is_string() || !params || !params->is_object())
      return invalid_value("requests", "needs a list of {custom_id, params}");
    input += write_json(Json::object({{"custom_id", *id}, {"body", *params}})) + "\n";
  }
  // What is wrong is told at once: there is no file to be read later.
  const BatchInput checked = read_batch_input(input, "/v1/messages");
  if (!checked.errors.empty())
    return invalid_value("requests", checked.errors.front().find("message")->as_string());
  Batch batch;
  batch.id = fresh_id(prefix);
  batch.endpoint = "/v1/messages";
  batch.tenant = call.tenant;
  if (call.key) batch.key = call.key->id;
  batch.created = unix_seconds();
  batch.expires = batch.created + batch_window_seconds;
  batch.total = std::ssize(checked.lines);
  return describe_for(call, TRY(batches->add(std::move(batch), input)));
}

Checked<Json> list(Service& service, const Call& call) {
  Batches* batches = TRY(batches_of(service));
  std::vector<Json> items;
  for (const Batch& batch : batches->list(call.tenant, prefix))
    items.push_back(describe_for(call, batch));
  Json page = TRY(list_page(call, std::move(items)));
  return page;
}

Checked<Json> show(Service& service, const Call& call) {
  return describe_for(call, TRY(find(service, call)));
}

Checked<Json> cancel(Service& service, const Call& call) {
  const Batch batch = TRY(find(service, call));
  const auto cancelled = TRY(service.batches->cancel(batch.id, call.tenant));
  return describe_for(call, cancelled.value_or(batch));
}

Checked<Json> remove(Service& service, const Call& call) {
  const Batch batch = TRY(find(service, call));
  TRY(service.batches->remove(batch.id));
  return Json::object({{"id", batch.id}, {"type", "message_batch_deleted"}});
}

Json result_of(const Json& answer) {
  const Json* response = answer.find("response");
  if (!response || response->is_null()) {
    const Json* code = answer.find("error")->find("code");
    return Json::object({{"type", *code == Json("batch_expired") ? "expired" : "canceled"}});
  }
  const Json& body = *response->find("body");
  if (*response->find("status_code") == Json(200))
    return Json::object({{"type", "succeeded"}, {"message", body}});
  return Json::object({{"type", "errored"}, {"error", body}});
}

Checked<http::Response> results(Service& service, const Call& call) {
  const Batch batch = TRY(find(service, call));
  if (!batch.is_over()) return Problem{404, "not_found", "the batch has not ended", "id", 0};
  const std::string answers = TRY(service.batches->answers(batch.id));
  std::string text;
  for (std::string_view rest = answers; !rest.empty();) {
    const auto json = parse_json(take_line(rest));
    if (!json) continue;
    text += write_json(Json::object(
                {{"custom_id", *json->find("custom_id")}, {"result", result_of(*json)}})) +
            "\n";
  }
  return http::Response{200, {{"Content-Type", "application/x-jsonl"}}, std::move(text)};
}

constexpr auto on_worker = Endpoint::Place::embedder;

constexpr Endpoint rows[] = {
    {"POST", "/v1/messages/batches", "Have messages answered some time (Anthropic).", Scope::chat,
     "MessageBatchRequest", "MessageBatch", on_worker, reply_json<create>},
    {"GET", "/v1/messages/batches", "List the batches (Anthropic).", Scope::chat, "",
     "MessageBatchList", on_worker, reply_json<list>},
    {"GET", "/v1/messages/batches/{batch_id}", "How far a batch is (Anthropic).", Scope::chat, "",
     "MessageBatch", on_worker, reply_json<show>},
    {"DELETE", "/v1/messages/batches/{batch_id}", "Forget a batch that has ended (Anthropic).",
     Scope::chat, "", "", on_worker, reply_json<remove>},
    {"POST", "/v1/messages/batches/{batch_id}/cancel", "Stop a batch (Anthropic).", Scope::chat, "",
     "MessageBatch", on_worker, reply_json<cancel>},
    {"GET", "/v1/messages/batches/{batch_id}/results", "The answers, one to a line (Anthropic).",
     Scope::chat, "", "", on_worker, reply<results>},
};

}  // namespace

std::span<const Endpoint> message_batch_rows() { return rows; }

}  // namespace hearth::server
