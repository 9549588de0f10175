#include <fmt/core.h>

#include "server/fields.h"
#include "server/ollama/ollama.h"

namespace hearth::server::ollama {
namespace {

constexpr std::int64_t far_tokens = std::int64_t{1} << 31;

// num_predict: -1 is no end but the context's, and so are its other names.
Check read_num_predict(const Json& options, Asked& asked) {
  const auto number = TRY(read_integer(options, "num_predict", -2, far_tokens - 1));
  if (number) asked.max_tokens = *number > 0 ? *number : far_tokens;
  return Done{};
}

// "json", or a schema.
Check read_format(const Json& body, Asked& asked) {
  const Json* format = body.find("format");
  if (!format || format->is_null() || *format == Json("")) return Done{};
  asked.rule_field = "format";
  if (*format == Json("json")) {
    asked.rule.kind = AnswerRule::Kind::json_object;
    return Done{};
  }
  if (!format->is_object()) return invalid_value("format", "needs \"json\" or a schema");
  asked.rule = {.kind = AnswerRule::Kind::schema, .schema = *format};
  return Done{};
}

// Nothing is ever cut to fit, so that a larger wish than the model has changes no answer.
Check read_num_ctx(const Json& options, const LoadedModel& loaded, Asked& asked,
                   std::optional<std::int64_t>& context_tokens) {
  context_tokens = TRY(read_integer(options, "num_ctx", 1, far_tokens));
  const std::int64_t has = loaded.runner->context_tokens();
  if (context_tokens && *context_tokens > has)
    asked.warning = fmt::format("num_ctx {} is more than the context of {}", *context_tokens, has);
  return Done{};
}

// What the shared reader knows, under the names it has there.
Json shared_fields(const Json& body, const Json& options) {
  Json fields = Json::object();
  const auto take = [&](const Json& from, std::string_view name) {
    if (const Json* value = from.find(name)) fields.set(std::string(name), *value);
  };
  for (const SamplingField& field : sampling_fields()) take(options, field.name);
  take(options, "stop");
  // A seed of -1 is none.
  if (const Json* seed = options.find("seed"); seed && *seed != Json(-1)) take(options, "seed");
  take(body, "logprobs");
  take(body, "top_logprobs");
  return fields;
}

}  // namespace

std::string tagged(std::string_view id) {
  return id.find(':') == std::string_view::npos ? fmt::format("{}:latest", id) : std::string(id);
}

Checked<Json> image_parts(const Json& images, const std::string& place) {
  if (!images.is_array()) return invalid_value(place, "needs a list");
  Json parts = Json::array();
  for (const Json& image : images.as_array()) {
    if (!image.is_string()) return invalid_value(place, "needs pictures as base64");
    std::string url = image.as_string();
    if (!url.starts_with("data:")) url.insert(0, "data:image/*;base64,");
    parts.push_back(Json::object(
        {{"type", "image_url"}, {"image_url", Json::object({{"url", std::move(url)}})}}));
  }
  return parts;
}

Checked<std::string> read_model_name(const Json& body) {
  constexpr std::size_t max_bytes = 1024;
  for (const char* field : {"model", "name"})
    if (auto name = TRY(read_text(body, field, max_bytes)); name && !name->empty()) return *name;
  return invalid_value("model", "is missing");
}

Checked<Asked> read_options(const Json& body, const Preset& preset, const LoadedModel& loaded,
                            std::optional<std::int64_t>& context_tokens) {
  const Json none = Json::object();
  const Json* given = body.find("options");
  if (!given || given->is_null()) given = &none;
  if (!given->is_object()) return invalid_value("options", "needs an object");
  const Json options = with_preset(preset, *given);
  Json fields = shared_fields(body, options);
  if (const Json* length = options.find("max_tokens")) fields.set("max_tokens", *length);
  Asked asked = TRY(read_parameters(fields, Dialect::chat, loaded.model().tokenizer().size(),
                                    loaded.standard_sampling()));
  asked.stream = TRY(read_bool(body, "stream")).value_or(true);
  TRY(read_format(body, asked));
  TRY(read_num_predict(options, asked));
  TRY(read_num_ctx(options, loaded, asked, context_tokens));
  return asked;
}

Checked<Json> read_think(const Json& body) {
  const Json* think = body.find("think");
  if (!think || think->is_null()) return Json::object();
  const bool is_level = think->is_string();
  if (!is_level && !think->is_bool())
    return invalid_value("think", "needs true, false or low, medium, high or max");
  Json variables = Json::object();
  for (const char* name : {"enable_thinking", "thinking"})
    variables.set(name, is_level || think->as_bool());
  if (is_level) variables.set("reasoning_effort", *think);
  return variables;
}

Checked<bool> take_unload(Service& service, Call& call, const Json& body, Shape shape) {
  const auto keep_alive = TRY(read_keep_alive(body));
  const Json* model = body.find("model");
  if (!keep_alive || keep_alive->count() != 0 || !model || !model->is_string()) return false;
  const Json* input = body.find(shape == Shape::chat ? "messages" : "prompt");
  const bool is_empty = !input || input->is_null() || (input->is_array() && input->size() == 0) ||
                        (input->is_string() && input->as_string().empty());
  if (!is_empty || body.find("suffix")) return false;
  const Lease lease = service.find_loaded(model->as_string());
  // What is not in memory need not go.
  if (lease) (void)service.pool->unload(lease->id).ok();
  Json answer = loaded_answer(shape, model->as_string());
  answer.set("done_reason", "unload");
  send(service, call, http::json_response(write_json(answer)));
  return true;
}

}  // namespace hearth::server::ollama
