// The description of the server, from the tables that it runs by.  Source: OpenAPI 3.1.0.
#include <fmt/core.h>

#include "base/ascii.h"
#include "server/parameters.h"
#include "server/rows.h"
#include "server/schemas.h"
#include "server/serve.h"

namespace hearth::server {
namespace {

using namespace schema;

void add_sampling(Json& properties) {
  add_sampling_numbers(properties);
  properties.set("seed", type("integer", "The same request and seed give the same text."));
  properties.set("n", whole(1, max_answers, "Answers to make."));
  properties.set("stop", any_of({type("string"), list_of(type("string"))}));
  properties.set("logit_bias", type("object", "Token id to what is added to its logit."));
  properties.set("stream", type("boolean", "Send server-sent events as the text is made."));
  properties.set("stream_options", object_of(Json::object({{"include_usage", type("boolean")}})));
  properties.set("ignore_eos", type("boolean", "Go on past the model's own end."));
  properties.set("deterministic", type("boolean", "The same bits whatever else runs."));
  properties.set("tier", type("string", "How closely to keep to f32: accurate, exact or turbo."));
  properties.set("lora", list_of(type("object",
                                      "A LoRA adapter in use: its id or name, and a scale.  "
                                      "Absent: those in use where nothing is said.")));
  properties.set(
      "response_format",
      type("object", "What the answer must be: type text, json_object, or json_schema."));
  properties.set("json_schema", type("object", "The answer is JSON that satisfies this schema."));
  properties.set("grammar", type("string", "The answer is a text of this grammar, in GBNF."));
  properties.set("structured_outputs",
                 type("object", "vLLM's: json, regex, choice, grammar or json_object."));
  properties.set("guided_json", any_of({type("object"), type("string")}));
  properties.set("guided_regex", type("string", "The answer is a match, from end to end."));
  properties.set("guided_choice", list_of(type("string")));
  properties.set("guided_grammar", type("string", "Another name of grammar."));
}

Json chat_request() {
  Json properties = Json::object(
      {{"model", type("string")},
       {"messages", list_of(reference("Message"))},
       {"max_completion_tokens", type("integer",
                                      "Lowered to the room left in the context; the "
                                      "header x-hearth-max-tokens then says so.")},
       {"max_tokens", type("integer", "Another name of max_completion_tokens.")},
       {"logprobs", type("boolean")},
       {"top_logprobs", whole(0, max_alternatives, "Alternatives to each token.")},
       {"tools", list_of(type("object", "A function the model may be told of."))},
       {"tool_choice", any_of({type("string"), type("object")})},
       {"parallel_tool_calls", type("boolean", "false: at most one call in an answer.")},
       {"prediction", type("object",
                           "type content: a text that the answer may say again, in parts; "
                           "guessed from, so that they come faster.")},
       {"reasoning_effort", type("string", "How much to think; none: not at all.")},
       {"truncation", type("string",
                           "Of what is too long: auto: the oldest turns go; window: then the "
                           "middle of long texts too; disabled, the standard: an error.  "
                           "x-hearth-warning says what went.")},
       {"chat_template_kwargs", type("object", "Variables of the model's template.")}});
  add_sampling(properties);
  return object_of(std::move(properties), {"model", "messages"});
}

Json token_input() {
  return any_of({type("string"), list_of(type("string")), list_of(type("integer")),
                 list_of(list_of(type("integer")))});
}

Json completion_request() {
  Json properties = Json::object(
      {{"model", type("string")},
       {"prompt", token_input()},
       {"suffix", type("string", "Text after the answer, for models that fill in the middle.")},
       {"max_tokens", type("integer", "16 when absent.")},
       {"echo", type("boolean", "Give the prompt back before the answer.")},
       {"logprobs", whole(0, max_alternatives, "Alternatives to each token.")},
       {"best_of", whole(1, max_answers, "Answers to choose n from.")}});
  add_sampling(properties);
  return object_of(std::move(properties), {"model", "prompt"});
}

Json usage() {
  return object_of(Json::object(
      {{"prompt_tokens", type("integer")},
       {"completion_tokens", type("integer")},
       {"total_tokens", type("integer")},
       {"prompt_tokens_details",
        object_of(Json::object(
            {{"cached_tokens", type("integer")},
             {"cache_end", type("string",
                                "Why not more of the prompt was in the cache: whole (all was), "
                                "new, differs, evicted, checkpoint or picture.")}}))},
       {"completion_tokens_details",
        object_of(Json::object({{"reasoning_tokens", type("integer")},
                                {"accepted_prediction_tokens", type("integer")},
                                {"rejected_prediction_tokens", type("integer")}}))},
       {"max_tokens", type("integer", "Only when the request's was lowered to this.")}}));
}

Json answer_schema(std::string_view content, Json value) {
  const Json choice =
      object_of(Json::object({{"index", type("integer")},
                              {std::string(content), std::move(value)},
                              {"logprobs", type("object")},
                              {"finish_reason", type("string", "stop, length, tool_calls")}}));
  return object_of(Json::object({{"id", type("string")},
                                 {"object", type("string")},
                                 {"created", type("integer")},
                                 {"model", type("string")},
                                 {"choices", list_of(choice)},
                                 {"usage", reference("Usage")}}));
}

Json tokenize_request() {
  return object_of(Json::object({{"model", type("string", "The first one when absent.")},
                                 {"content", type("string")},
                                 {"messages", list_of(reference("Message"))},
                                 {"add_special", type("boolean")},
                                 {"parse_special", type("boolean")},
                                 {"with_pieces", type("boolean")}}));
}

Json schemas() {
  const Json message = object_of(
      Json::object({{"role", type("string", "system, developer, user, assistant or tool.")},
                    {"content", any_of({type("string"), list_of(type("object"))})},
                    {"name", type("string")},
                    {"tool_calls", list_of(type("object"))},
                    {"tool_call_id", type("string")}}),
      {"role"});
  const Json model = object_of(Json::object({{"id", type("string")},
                                             {"object", type("string")},
                                             {"created", type("integer")},
                                             {"owned_by", type("string")},
                                             {"context_length", type("integer")},
                                             {"capabilities", list_of(type("string"))},
                                             {"meta", type("object")}}));
  const Json error = object_of(Json::object({{"message", type("string")},
                                             {"type", type("string")},
                                             {"param", any_of({type("string"), type("null")})},
                                             {"code", type("string")}}));
  const Json embedding_request =
      object_of(Json::object({{"model", type("string")},
                              {"input", token_input()},
                              {"dimensions", type("integer", "Keep the first ones of these.")},
                              {"encoding_format", type("string", "float or base64.")},
                              {"truncate", type("boolean", "Cut inputs that are too long.")}}),
                {"model", "input"});
  Json all = Json::object(
      {{"Message", message},
       {"Usage", usage()},
       {"Error", object_of(Json::object({{"error", error}}))},
       {"ChatRequest", chat_request()},
       {"ChatAnswer", answer_schema("message", reference("Message"))},
       {"CompletionRequest", completion_request()},
       {"CompletionAnswer", answer_schema("text", type("string"))},
       {"EmbeddingRequest", embedding_request},
       {"EmbeddingAnswer", object_of(Json::object({{"object", type("string")},
                                                   {"data", list_of(type("object"))},
                                                   {"model", type("string")},
                                                   {"usage", reference("Usage")}}))},
       {"RerankRequest",
        object_of(
            Json::object({{"model", type("string")},
                          {"query", type("string")},
                          {"documents", list_of(type("string", "or an object with a text."))},
                          {"texts", list_of(type("string", "TEI's name; its answer is a list."))},
                          {"top_n", type("integer", "All when absent.")},
                          {"return_documents", type("boolean")},
                          {"raw_scores", type("boolean", "Logits, not shares of 1.")},
                          {"truncate", type("boolean", "Cut texts that are too long.")}}),
            {"query"})},
       {"RerankAnswer", object_of(Json::object({{"model", type("string")},
                                                {"results", list_of(type("object"))},
                                                {"usage", reference("Usage")}}))},
       {"GraphRequest",
        object_of(
            Json::object(
                {{"inputs", type("object",
                                 "A value for each input by name: a number, a list of lists, "
                                 "{\"shape\": [...], \"data\": [...]}, or a picture, sound or .npy "
                                 "file as data:...;base64,...")},
                 {"method", type("string", "Of a file of several graphs: which one.")},
                 {"pixels", type("string",
                                 "Pictures as raw, unit, signed or imagenet; as the model says "
                                 "when absent.")},
                 {"rate", type("integer", "Sounds are brought to so many samples a second.")},
                 {"outputs", list_of(type("string", "Those that are wanted; all when absent."))},
                 {"timeout_seconds", type("number", "60 when absent; at most 600.")}}),
            {"inputs"})},
       {"GraphAnswer",
        object_of(Json::object({{"model", type("string")},
                                {"outputs", type("object",
                                                 "By name: {\"dtype\", \"shape\", \"data\"}, and "
                                                 "\"classes\" where the model names them.")},
                                {"seconds", type("number")}}))},
       {"GraphModel",
        object_of(Json::object({{"model", type("string")},
                                {"format", type("string", "onnx, tflite, coreml or executorch.")},
                                {"producer", type("string")},
                                {"metadata", type("object", "Its states and methods among it.")},
                                {"inputs", list_of(type("object"))},
                                {"outputs", list_of(type("object"))},
                                {"labels", list_of(type("string", "Of its classes."))}}))},
       {"Transcription",
        object_of(Json::object({{"text", type("string")},
                                {"task", type("string", "transcribe or translate (verbose_json).")},
                                {"language", type("string")},
                                {"duration", type("number", "Of the recording, in seconds.")},
                                {"segments", list_of(type("object"))},
                                {"words", list_of(type("object"))},
                                {"usage", type("object")}}),
                  {"text"})},
       {"McpMessage", object_of(Json::object({{"jsonrpc", type("string", "2.0")},
                                              {"id", any_of({type("string"), type("integer")})},
                                              {"method", type("string")},
                                              {"params", type("object")},
                                              {"result", type("object")},
                                              {"error", type("object")}}))},
       {"Model", model},
       {"ModelList", object_of(Json::object(
                         {{"object", type("string")}, {"data", list_of(reference("Model"))}}))},
       {"TokenizeRequest", tokenize_request()},
       {"TokenizeAnswer", object_of(Json::object({{"tokens", list_of(type("integer"))},
                                                  {"count", type("integer")},
                                                  {"max_model_len", type("integer")}}))},
       {"DetokenizeRequest",
        object_of(Json::object({{"model", type("string")}, {"tokens", list_of(type("integer"))}}),
                  {"tokens"})},
       {"DetokenizeAnswer", object_of(Json::object({{"content", type("string")}}))},
       {"ApplyTemplateRequest", object_of(Json::object({{"model", type("string")},
                                                        {"messages", list_of(reference("Message"))},
                                                        {"tools", list_of(type("object"))}}),
                                          {"messages"})},
       {"ApplyTemplateAnswer", object_of(Json::object({{"prompt", type("string")}}))},
       {"Health", object_of(Json::object({{"status", type("string")}}))}});
  add_ollama(all);
  add_anthropic(all);
  add_responses(all);
  add_llama_server(all);
  add_collections(all);
  add_manage(all);
  add_access(all);
  add_batches(all);
  return all;
}

Json content(std::string_view schema) {
  return Json::object({{"application/json", Json::object({{"schema", reference(schema)}})}});
}

// A stream has the same events in each of its forms.
Json stream_content(const Endpoint& endpoint) {
  Json all = Json::object();
  if (endpoint.response_schema != "Event") all = content(endpoint.response_schema);
  for (const char* form : {"text/event-stream", "application/x-ndjson"})
    all.set(form, Json::object({{"schema", reference("Event")}}));
  return all;
}

Json query_parameter(std::string_view name, std::string_view meaning) {
  return Json::object(
      {{"name", name}, {"in", "query"}, {"description", meaning}, {"schema", type("string")}});
}

Json operation(const Endpoint& endpoint) {
  Json ok = Json::object({{"description", "The answer."}});
  if (endpoint.streams_events)
    ok.set("content", stream_content(endpoint));
  else if (!endpoint.response_schema.empty())
    ok.set("content", content(endpoint.response_schema));
  const Json error =
      Json::object({{"description", "What went wrong."}, {"content", content("Error")}});
  Json result =
      Json::object({{"summary", endpoint.summary},
                    {"responses", Json::object({{"200", std::move(ok)}, {"default", error}})}});
  if (!endpoint.request_schema.empty())
    result.set("requestBody",
               Json::object({{"required", true}, {"content", content(endpoint.request_schema)}}));
  Json parameters = Json::array();
  for (std::size_t at = endpoint.path.find('{'); at != endpoint.path.npos;
       at = endpoint.path.find('{', at + 1)) {
    const std::string_view name =
        endpoint.path.substr(at + 1, endpoint.path.find('}', at) - at - 1);
    parameters.push_back(Json::object(
        {{"name", name}, {"in", "path"}, {"required", true}, {"schema", type("string")}}));
  }
  if (endpoint.streams_events) {
    result.find("responses")
        ->set("101",
              Json::object({{"description",
                             "To `Upgrade: websocket`: each message is one Event, as text."}}));
    if (endpoint.path.ends_with("/events")) {
      parameters.push_back(query_parameter("topics", "models, downloads, system: commas between."));
      parameters.push_back(query_parameter("model", "Only what is about this model, or none."));
    } else {
      parameters.push_back(query_parameter("stream", "true: lines of JSON until it is over."));
    }
  }
  if (parameters.size() > 0) result.set("parameters", std::move(parameters));
  Json security = Json::array();
  if (endpoint.scope != Scope::none) {
    security.push_back(Json::object({{"bearer", Json::array()}}));
    security.push_back(Json::object({{"key", Json::array()}}));
  }
  result.set("security", std::move(security));
  return result;
}

Json description() {
  Json paths = Json::object();
  for (const Endpoint* endpoint : endpoints()) {
    const std::string method = ascii_lower(endpoint->method);
    if (!paths.find(endpoint->path)) paths.set(std::string(endpoint->path), Json::object());
    paths.find(endpoint->path)->set(method, operation(*endpoint));
  }
  const Json bearer = Json::object({{"type", "http"}, {"scheme", "bearer"}});
  const Json key = Json::object({{"type", "apiKey"}, {"in", "header"}, {"name", "x-api-key"}});
  return Json::object(
      {{"openapi", "3.1.0"},
       {"info", Json::object({{"title", "Hearth"}, {"version", HEARTH_VERSION}})},
       {"paths", std::move(paths)},
       {"components",
        Json::object({{"schemas", schemas()},
                      {"securitySchemes", Json::object({{"bearer", bearer}, {"key", key}})}})}});
}

void handle(Service& service, Call call) {
  send(service, call, http::json_response(openapi_json()));
}

std::string kind_of(const Json& schema) {
  if (const Json* name = schema.find("type")) {
    if (*name != Json("array")) return name->as_string();
    return "list of " + kind_of(*schema.find("items"));
  }
  if (const Json* name = schema.find("$ref"))
    return name->as_string().substr(name->as_string().rfind('/') + 1);
  std::string kinds;
  for (const Json& choice : schema.find("anyOf")->as_array())
    kinds += (kinds.empty() ? "" : " or ") + kind_of(choice);
  return kinds;
}

std::string range_of(const Json& schema) {
  const Json* max = schema.find("maximum");
  if (!max) return "";
  const Json* min = schema.find("minimum");
  const Json* above = schema.find("exclusiveMinimum");
  return fmt::format("{} {} to {}", above ? "above" : "from", write_json(above ? *above : *min),
                     write_json(*max));
}

// One of these scopes opens it.
std::string scope_text(Scope scope) {
  if (scope == Scope::none) return "no";
  if (scope == Scope::any) return "any";
  std::string text;
  for (const std::string& name : scope_names(static_cast<std::uint8_t>(scope)))
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::string openapi_json() { return write_json(description(), {.indent = 1}); }

std::string http_reference() {
  std::string page =
      "# HTTP\n\n"
      "Every route also answers without `/v1`. Errors are `{\"error\": {message, type, param, "
      "code}}`;\nunder `/api/` followed by a name of Ollama's, they are Ollama's `{\"error\": "
      "text}`, "
      "under `/v1/messages` "
      "Anthropic's. `/openapi.json` is this page for programs.\n\n"
      "| method | path | what it does | body | key |\n|---|---|---|---|---|\n";
  for (const Endpoint* endpoint : endpoints())
    page += fmt::format("| {} | `{}` | {} | {} | {} |\n", endpoint->method, endpoint->path,
                        endpoint->summary, endpoint->request_schema, scope_text(endpoint->scope));
  const Json all = schemas();
  for (const auto& [name, schema] : all.as_object()) {
    page += fmt::format("\n## {}\n\n| field | type | range | meaning |\n|---|---|---|---|\n", name);
    for (const auto& [field, value] : schema.find("properties")->as_object()) {
      const Json* text = value.find("description");
      page += fmt::format("| `{}` | {} | {} | {} |\n", field, kind_of(value), range_of(value),
                          text ? text->as_string() : "");
    }
  }
  return page;
}

const Endpoint openapi_endpoint{.method = "GET",
                                .path = "/openapi.json",
                                .summary = "This description.",
                                .scope = Scope::none,
                                .request_schema = "",
                                .response_schema = "",
                                .place = Endpoint::Place::worker,
                                .handle = handle};

}  // namespace hearth::server
