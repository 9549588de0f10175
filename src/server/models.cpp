// GET /v1/models and /v1/models/{id}.  Source: OpenAI API reference, "List models"; the fields
// beside its own are those that clients of other servers read.
#include "server/describe.h"
#include "server/interfaces.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

Json describe(const LoadedModel& loaded) {
  const ModelInfo& info = loaded.model().info();
  const bool is_generator = info.kind == ModelKind::generator;
  Json capabilities = Json::array();
  for (const std::string_view name : capabilities_of(loaded)) capabilities.push_back(name);
  const std::int64_t context = loaded.runner->context_tokens();
  const Json text(Json::Array{"text"});
  return Json::object(
      {{"id", loaded.id},
       {"object", "model"},
       {"created", loaded.loaded_seconds},
       {"owned_by", "hearth"},
       {"context_length", context},
       {"max_model_len", context},
       {"architecture", Json::object({{"name", info.architecture},
                                      {"input_modalities", text},
                                      {"output_modalities",
                                       is_generator ? text : Json(Json::Array{"embedding"})}})},
       {"capabilities", std::move(capabilities)},
       {"meta", Json::object({{"n_ctx_train", info.context_length},
                              {"n_params", info.parameters},
                              {"n_vocab", info.vocabulary},
                              {"n_embd", info.dim},
                              {"size", info.file_bytes},
                              {"quantization", info.quantisation}})}});
}

// Source: Anthropic API reference, "List Models".
Json describe_to_anthropic(const LoadedModel& loaded) {
  const std::string& name = loaded.model().info().name;
  return Json::object({{"type", "model"},
                       {"id", loaded.id},
                       {"display_name", name.empty() ? loaded.id : name},
                       {"created_at", time_text(loaded.loaded_seconds * 1'000'000)},
                       {"max_input_tokens", loaded.runner->context_tokens()}});
}

Json list_to_anthropic(const std::vector<Lease>& models) {
  Json data = Json::array();
  for (const Lease& lease : models) data.push_back(describe_to_anthropic(*lease));
  const auto id = [](const Lease& lease) { return Json(lease->id); };
  return Json::object({{"data", std::move(data)},
                       {"has_more", false},
                       {"first_id", models.empty() ? Json() : id(models.front())},
                       {"last_id", models.empty() ? Json() : id(models.back())}});
}

bool is_to_anthropic(const Call& call) {
  return interface_of(call.request) == Interface::anthropic;
}

void list(Service& service, Call call) {
  if (is_to_anthropic(call)) {
    send(service, call, http::json_response(write_json(list_to_anthropic(service.models))));
    return;
  }
  Json data = Json::array();
  for (const Lease& lease : service.models) data.push_back(describe(*lease));
  send(service, call,
       http::json_response(
           write_json(Json::object({{"object", "list"}, {"data", std::move(data)}}))));
}

void show(Service& service, Call call) {
  auto lease = service.find_model(call.rest);
  if (lease.ok())
    send(
        service, call,
        http::json_response(write_json(is_to_anthropic(call) ? describe_to_anthropic(*lease.value())
                                                             : describe(*lease.value()))));
  else
    send(service, call, std::move(lease).error());
}

}  // namespace

const Endpoint models_endpoint{.method = "GET",
                               .path = "/v1/models",
                               .summary = "List the models served.",
                               .scope = Scope::infer,
                               .request_schema = "",
                               .response_schema = "ModelList",
                               .place = Endpoint::Place::loop,
                               .handle = list};

const Endpoint model_endpoint{.method = "GET",
                              .path = "/v1/models/{id}",
                              .summary = "What one model is.",
                              .scope = Scope::infer,
                              .request_schema = "",
                              .response_schema = "Model",
                              .place = Endpoint::Place::loop,
                              .handle = show};

}  // namespace hearth::server
