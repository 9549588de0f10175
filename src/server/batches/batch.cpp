#include "server/batches/batch.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/ascii.h"

namespace hearth::server {
namespace {

constexpr std::array<std::string_view, 8> status_names = {"validating", "in_progress", "finalizing",
                                                          "completed",  "failed",      "expired",
                                                          "cancelling", "cancelled"};
constexpr std::size_t max_errors = 100, max_id_bytes = 512;

struct TextField {
  const char* name;
  std::string Batch::* value;
};
constexpr TextField texts[] = {{"id", &Batch::id},
                               {"endpoint", &Batch::endpoint},
                               {"input_file", &Batch::input_file},
                               {"tenant", &Batch::tenant},
                               {"key", &Batch::key},
                               {"output_file", &Batch::output_file},
                               {"error_file", &Batch::error_file}};
struct NumberField {
  const char* name;
  std::int64_t Batch::* value;
};
constexpr NumberField numbers[] = {
    {"created", &Batch::created},       {"expires", &Batch::expires},
    {"began", &Batch::began},           {"finalizing", &Batch::finalizing},
    {"cancelling", &Batch::cancelling}, {"ended", &Batch::ended},
    {"total", &Batch::total},           {"completed", &Batch::completed},
    {"failed", &Batch::failed}};

// What is wrong with a line; nothing: it is `line`.
Result<BatchLine> read_line(std::string_view text, std::string_view endpoint) {
  const Json json = TRY(parse_json(text));
  if (!json.is_object()) return Error(ErrorKind::invalid, "needs an object");
  BatchLine line;
  line.custom_id = TRY(required<std::string>(json, "custom_id"));
  if (line.custom_id.empty() || line.custom_id.size() > max_id_bytes)
    return Error(ErrorKind::invalid, "'custom_id': needs 1 to 512 bytes");
  if (TRY(optional<std::string>(json, "method", "POST")) != "POST")
    return Error(ErrorKind::invalid, "'method': needs POST");
  line.path = TRY(optional<std::string>(json, "url", std::string(endpoint)));
  if (line.path != endpoint)
    return Error(ErrorKind::invalid,
                 fmt::format("'url': needs to be the batch's endpoint, {}", endpoint));
  const Json* body = json.find("body");
  if (!body || !body->is_object()) return Error(ErrorKind::invalid, "'body': needs an object");
  Json own = *body;
  if (own.find("stream")) own.set("stream", false);
  line.body = write_json(own);
  return line;
}

}  // namespace

std::string_view name_of(BatchStatus status) {
  return status_names[static_cast<std::size_t>(status)];
}

bool Batch::is_over() const {
  return status == BatchStatus::completed || status == BatchStatus::failed ||
         status == BatchStatus::expired || status == BatchStatus::cancelled;
}

Json to_json(const Batch& batch) {
  Json json = Json::object();
  for (const TextField& field : texts) json.set(field.name, batch.*field.value);
  for (const NumberField& field : numbers) json.set(field.name, batch.*field.value);
  json.set("status", name_of(batch.status));
  json.set("metadata", batch.metadata);
  json.set("errors", Json(Json::Array(batch.errors)));
  return json;
}

Result<Batch> batch_from_json(const Json& json) {
  Batch batch;
  for (const TextField& field : texts)
    batch.*field.value = TRY(required<std::string>(json, field.name));
  for (const NumberField& field : numbers)
    batch.*field.value = TRY(required<std::int64_t>(json, field.name));
  const std::string status = TRY(required<std::string>(json, "status"));
  const auto found = std::ranges::find(status_names, status);
  if (found == status_names.end()) return Error(ErrorKind::corrupt, "'status': is unknown");
  batch.status = static_cast<BatchStatus>(found - status_names.begin());
  if (const Json* metadata = json.find("metadata")) batch.metadata = *metadata;
  if (const Json* errors = json.find("errors"); errors && errors->is_array())
    batch.errors = errors->as_array();
  return batch;
}

BatchInput read_batch_input(std::string_view text, std::string_view endpoint) {
  BatchInput input;
  std::set<std::string> ids;
  const auto complain = [&](const char* code, std::string message, int number) {
    if (input.errors.size() < max_errors)
      input.errors.push_back(Json::object(
          {{"code", code}, {"message", std::move(message)}, {"line", number}, {"param", Json()}}));
  };
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view own = take_line(text);
    if (own.find_first_not_of(" \t\r") == own.npos) continue;
    if (input.lines.size() == max_batch_lines) {
      complain("too_many_tasks", fmt::format("a batch has up to {} lines", max_batch_lines),
               number);
      break;
    }
    auto line = read_line(own, endpoint);
    if (!line) {
      complain("invalid_line", line.error().message(), number);
      continue;
    }
    if (!ids.insert(line->custom_id).second) {
      complain("duplicate_custom_id", "this 'custom_id' was there before", number);
      continue;
    }
    input.lines.push_back(std::move(*line));
  }
  if (input.lines.empty() && input.errors.empty()) complain("empty_file", "there is no line", 1);
  return input;
}

}  // namespace hearth::server
