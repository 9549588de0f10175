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

Checked<Asked> read_options(const Json& body, const LoadedModel& loaded,
                            std::optional<std::int64_t>& context_tokens) {
  if (const Json* images = body.find("images"); images && images->size() > 0)
    return unsupported_value("images", "this model reads text");
  TRY(check_keep_alive(body));
  const Json none = Json::object();
  const Json* options = body.find("options");
  if (!options || options->is_null()) options = &none;
  if (!options->is_object()) return invalid_value("options", "needs an object");
  Asked asked = TRY(read_parameters(shared_fields(body, *options), Dialect::chat,
                                    loaded.model().tokenizer().size(), loaded.sampling));
  asked.stream = TRY(read_bool(body, "stream")).value_or(true);
  TRY(read_format(body, asked));
  TRY(read_num_predict(*options, asked));
  TRY(read_num_ctx(*options, loaded, asked, context_tokens));
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

Check check_keep_alive(const Json& body) {
  const Json* value = body.find("keep_alive");
  if (!value || value->is_null() || value->is_number() || value->is_string()) return Done{};
  return invalid_value("keep_alive", "needs a number of seconds or a duration such as 5m");
}

}  // namespace hearth::server::ollama
