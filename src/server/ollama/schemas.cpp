#include "server/schemas.h"

namespace hearth::server::schema {
namespace {

Json options() {
  Json properties = Json::object(
      {{"num_predict", type("integer", "Tokens to make; -1: until the context is full.")},
       {"num_ctx", type("integer", "The prompt and the answer together have at most so many.")},
       {"seed", type("integer", "-1: another one each time.")},
       {"stop", any_of({type("string"), list_of(type("string"))})}});
  add_sampling_numbers(properties);
  return object_of(std::move(properties));
}

Json request(std::initializer_list<Json::Member> own, std::initializer_list<Json> required) {
  Json properties = Json::object(own);
  properties.set("options", reference("OllamaOptions"));
  properties.set("stream", type("boolean", "Lines of JSON as the text is made; true when absent."));
  properties.set("think", any_of({type("boolean"), type("string")}));
  properties.set("keep_alive", any_of({type("integer"), type("string")}));
  properties.set("format", any_of({type("string"), type("object")}));
  properties.set("logprobs", type("boolean"));
  properties.set("top_logprobs", type("integer"));
  return object_of(std::move(properties), required);
}

Json answer(std::string_view content, Json value) {
  Json properties = Json::object({{"model", type("string")},
                                  {"created_at", type("string")},
                                  {std::string(content), std::move(value)},
                                  {"done", type("boolean")},
                                  {"done_reason", type("string", "stop, length or load.")}});
  for (const char* name : {"total_duration", "load_duration", "prompt_eval_count",
                           "prompt_eval_duration", "eval_count", "eval_duration"})
    properties.set(name, type("integer"));
  return object_of(std::move(properties));
}

}  // namespace

void add_ollama(Json& all) {
  all.set("OllamaOptions", options());
  all.set("OllamaMessage", object_of(Json::object({{"role", type("string")},
                                                   {"content", type("string")},
                                                   {"thinking", type("string")},
                                                   {"tool_calls", list_of(type("object"))},
                                                   {"tool_name", type("string")}}),
                                     {"role"}));
  all.set("OllamaChatRequest", request({{"model", type("string")},
                                        {"messages", list_of(reference("OllamaMessage"))},
                                        {"tools", list_of(type("object"))}},
                                       {"model"}));
  all.set("OllamaChatAnswer", answer("message", reference("OllamaMessage")));
  all.set("OllamaGenerateRequest",
          request({{"model", type("string")},
                   {"prompt", type("string")},
                   {"system", type("string")},
                   {"suffix", type("string", "For models that fill in the middle.")},
                   {"raw", type("boolean", "The prompt is what the model reads.")},
                   {"context", list_of(type("integer"))}},
                  {"model"}));
  all.set("OllamaGenerateAnswer", answer("response", type("string")));
  all.set(
      "OllamaEmbedRequest",
      object_of(Json::object({{"model", type("string")},
                              {"input", any_of({type("string"), list_of(type("string"))})},
                              {"truncate", type("boolean", "Cut inputs that are too long; false.")},
                              {"dimensions", type("integer", "Keep the first ones of these.")}}),
                {"model", "input"}));
  all.set("OllamaEmbedAnswer",
          object_of(Json::object({{"model", type("string")},
                                  {"embeddings", list_of(list_of(type("number")))},
                                  {"prompt_eval_count", type("integer")},
                                  {"truncated", type("boolean", "An input was cut.")}})));
  all.set("OllamaEmbeddingsRequest",
          object_of(Json::object({{"model", type("string")}, {"prompt", type("string")}}),
                    {"model", "prompt"}));
  all.set("OllamaEmbeddingsAnswer",
          object_of(Json::object({{"embedding", list_of(type("number"))}})));
  all.set("OllamaModel", object_of(Json::object({{"name", type("string")},
                                                 {"model", type("string")},
                                                 {"modified_at", type("string")},
                                                 {"size", type("integer")},
                                                 {"digest", type("string")},
                                                 {"details", type("object")},
                                                 {"capabilities", list_of(type("string"))}})));
  all.set("OllamaTags", object_of(Json::object({{"models", list_of(reference("OllamaModel"))}})));
  all.set("OllamaVersion", object_of(Json::object({{"version", type("string")}})));
  all.set("OllamaShowRequest", object_of(Json::object({{"model", type("string")}}), {"model"}));
  all.set("OllamaShow", object_of(Json::object({{"details", type("object")},
                                                {"model_info", type("object")},
                                                {"template", type("string")},
                                                {"parameters", type("string")},
                                                {"capabilities", list_of(type("string"))}})));
}

}  // namespace hearth::server::schema
