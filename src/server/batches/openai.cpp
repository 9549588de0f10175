// /v1/batches.  Source: OpenAI API reference, "Batch".
#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "server/batches/batches.h"
#include "server/collections/files.h"
#include "server/reply.h"
#include "server/rows.h"
#include "server/schemas.h"

namespace hearth::server {
namespace {

constexpr std::string_view prefix = "batch_";
constexpr std::string_view offered[] = {"/v1/chat/completions", "/v1/completions", "/v1/embeddings",
                                        "/v1/responses"};

Json time_or_null(std::int64_t seconds) { return seconds ? Json(seconds) : Json(); }
Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json describe(const Batch& batch) {
  const auto ended_as = [&](BatchStatus status) {
    return batch.status == status ? time_or_null(batch.ended) : Json();
  };
  Json errors;
  if (!batch.errors.empty())
    errors = Json::object({{"object", "list"}, {"data", Json(Json::Array(batch.errors))}});
  Json json = Json::object({{"id", batch.id},
                            {"object", "batch"},
                            {"endpoint", batch.endpoint},
                            {"errors", std::move(errors)},
                            {"input_file_id", batch.input_file},
                            {"completion_window", "24h"},
                            {"status", name_of(batch.status)},
                            {"output_file_id", text_or_null(batch.output_file)},
                            {"error_file_id", text_or_null(batch.error_file)},
                            {"created_at", batch.created},
                            {"in_progress_at", time_or_null(batch.began)},
                            {"expires_at", batch.expires},
                            {"finalizing_at", time_or_null(batch.finalizing)},
                            {"completed_at", ended_as(BatchStatus::completed)},
                            {"failed_at", ended_as(BatchStatus::failed)},
                            {"expired_at", ended_as(BatchStatus::expired)},
                            {"cancelling_at", time_or_null(batch.cancelling)},
                            {"cancelled_at", ended_as(BatchStatus::cancelled)},
                            {"request_counts", Json::object({{"total", batch.total},
                                                             {"completed", batch.completed},
                                                             {"failed", batch.failed}})},
                            {"metadata", batch.metadata}});
  // What is not yet is left out; metadata may be null.
  std::erase_if(json.as_object(), [](const Json::Member& member) {
    return member.second.is_null() && member.first != "metadata";
  });
  return json;
}

Problem no_such_batch(std::string_view id) {
  return {404, "not_found", fmt::format("No batch found with id '{}'", printable(id)), "id", 0};
}

Checked<Json> create(Service& service, const Call& call) {
  Batches* batches = TRY(batches_of(service));
  const Json body = TRY(parse_body(call.request.body));
  const auto file_id = TRY(read_text(body, "input_file_id", 64));
  if (!file_id) return invalid_value("input_file_id", "is missing");
  const auto endpoint = TRY(read_text(body, "endpoint", 64));
  if (!endpoint || std::ranges::find(offered, *endpoint) == std::end(offered))
    return invalid_value("endpoint",
                         "needs one of /v1/chat/completions, /v1/completions, /v1/embeddings, "
                         "/v1/responses");
  const auto window = TRY(read_text(body, "completion_window", 16));
  if (window.value_or("24h") != "24h") return invalid_value("completion_window", "needs 24h");
  const StoredFile file = TRY(find_file(service, *file_id, call.tenant));
  if (static_cast<std::uint64_t>(file.bytes) > max_batch_bytes)
    return invalid_value("input_file_id", fmt::format("is over {} bytes", max_batch_bytes));
  const std::string input = TRY(read_stored_file(service, file));
  Batch batch;
  batch.id = fresh_id(prefix);
  batch.endpoint = *endpoint;
  batch.input_file = file.id;
  batch.tenant = call.tenant;
  if (call.key) batch.key = call.key->id;
  batch.created = unix_seconds();
  batch.expires = batch.created + batch_window_seconds;
  if (const Json* metadata = body.find("metadata"); metadata && metadata->is_object())
    batch.metadata = *metadata;
  return describe(TRY(batches->add(std::move(batch), input)));
}

Checked<Json> list(Service& service, const Call& call) {
  Batches* batches = TRY(batches_of(service));
  std::vector<Json> items;
  for (const Batch& batch : batches->list(call.tenant, prefix)) items.push_back(describe(batch));
  return list_page(call, std::move(items));
}

Checked<Json> show(Service& service, const Call& call) {
  Batches* batches = TRY(batches_of(service));
  const auto batch = batches->find(call.parts.at(0), call.tenant);
  if (!batch) return no_such_batch(call.parts.at(0));
  return describe(*batch);
}

Checked<Json> cancel(Service& service, const Call& call) {
  Batches* batches = TRY(batches_of(service));
  const auto batch = TRY(batches->cancel(call.parts.at(0), call.tenant));
  if (!batch) return no_such_batch(call.parts.at(0));
  return describe(*batch);
}

constexpr auto on_worker = Endpoint::Place::embedder;

constexpr Endpoint rows[] = {
    {"POST", "/v1/batches", "Have the requests of an uploaded file answered some time.",
     Scope::files, "BatchRequest", "Batch", on_worker, reply_json<create>},
    {"GET", "/v1/batches", "List the batches.", Scope::files, "", "BatchList", on_worker,
     reply_json<list>},
    {"GET", "/v1/batches/{batch_id}", "How far a batch is.", Scope::files, "", "Batch", on_worker,
     reply_json<show>},
    {"POST", "/v1/batches/{batch_id}/cancel", "Stop a batch; what is answered stays.", Scope::files,
     "", "Batch", on_worker, reply_json<cancel>},
};

}  // namespace

std::span<const Endpoint> batch_rows() { return rows; }

void schema::add_batches(Json& all) {
  const Json time = any_of({type("integer"), type("null")});
  const Json text = any_of({type("string"), type("null")});
  all.set("BatchRequest",
          object_of(Json::object({{"input_file_id", type("string",
                                                         "A file of JSON lines: custom_id, "
                                                         "method, url, body.")},
                                  {"endpoint", type("string", "The url of every line.")},
                                  {"completion_window", type("string", "24h")},
                                  {"metadata", type("object")}}),
                    {"input_file_id", "endpoint"}));
  all.set("Batch",
          object_of(Json::object({{"id", type("string")},
                                  {"object", type("string")},
                                  {"endpoint", type("string")},
                                  {"status", type("string",
                                                  "validating, in_progress, finalizing, completed, "
                                                  "failed, expired, cancelling, cancelled")},
                                  {"input_file_id", type("string")},
                                  {"output_file_id", text},
                                  {"error_file_id", text},
                                  {"created_at", type("integer")},
                                  {"expires_at", type("integer")},
                                  {"completed_at", time},
                                  {"request_counts", type("object", "total, completed, failed.")},
                                  {"metadata", any_of({type("object"), type("null")})}})));
  all.set(
      "BatchList",
      object_of(Json::object({{"object", type("string")}, {"data", list_of(reference("Batch"))}})));
  all.set("MessageBatchRequest",
          object_of(Json::object({{"requests", list_of(type("object", "custom_id, params."))}}),
                    {"requests"}));
  all.set("MessageBatch", object_of(Json::object({{"id", type("string")},
                                                  {"type", type("string")},
                                                  {"processing_status",
                                                   type("string", "in_progress, canceling, ended")},
                                                  {"request_counts", type("object")},
                                                  {"created_at", type("string")},
                                                  {"expires_at", type("string")},
                                                  {"results_url", text}})));
  all.set("MessageBatchList",
          object_of(Json::object({{"data", list_of(reference("MessageBatch"))}})));
}

}  // namespace hearth::server
