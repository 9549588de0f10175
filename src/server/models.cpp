// GET /v1/models and /v1/models/{id}.  Source: OpenAI API reference, "List models"; the fields
// beside its own are those that clients of other servers read.
#include <algorithm>

#include "server/describe.h"
#include "server/interfaces.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

Json describe(const ModelCard& card) {
  Json capabilities = Json::array();
  for (const std::string& name : card.capabilities) capabilities.push_back(name);
  const Json text(Json::Array{"text"});
  const bool sees = std::ranges::find(card.capabilities, "vision") != card.capabilities.end();
  const bool hears = card.kind == ModelKind::transcriber;
  const bool writes = hears || card.kind == ModelKind::generator;
  Json model = Json::object(
      {{"id", card.id},
       {"object", "model"},
       {"created", card.created_seconds},
       {"owned_by", "hearth"},
       {"context_length", card.context},
       {"max_model_len", card.context},
       {"architecture",
        Json::object({{"name", card.architecture},
                      {"input_modalities", hears  ? Json(Json::Array{"audio"})
                                           : sees ? Json(Json::Array{"text", "image"})
                                                  : text},
                      {"output_modalities", writes ? text : Json(Json::Array{"embedding"})}})},
       {"capabilities", std::move(capabilities)},
       {"loaded", card.is_loaded},
       {"meta", Json::object({{"n_ctx_train", card.trained_context},
                              {"n_params", card.parameters},
                              {"n_vocab", card.vocabulary},
                              {"n_embd", card.dim},
                              {"size", card.file_bytes},
                              {"quantization", card.quantisation}})}});
  if (!card.parent.empty()) model.set("parent", card.parent);
  return model;
}

// Source: Anthropic API reference, "List Models".
Json describe_to_anthropic(const ModelCard& card) {
  return Json::object({{"type", "model"},
                       {"id", card.id},
                       {"display_name", card.title.empty() ? card.id : card.title},
                       {"created_at", time_text(card.created_seconds * 1'000'000)},
                       {"max_input_tokens", card.context}});
}

Json list_to_anthropic(const std::vector<ModelCard>& cards) {
  Json data = Json::array();
  for (const ModelCard& card : cards) data.push_back(describe_to_anthropic(card));
  return Json::object({{"data", std::move(data)},
                       {"has_more", false},
                       {"first_id", cards.empty() ? Json() : Json(cards.front().id)},
                       {"last_id", cards.empty() ? Json() : Json(cards.back().id)}});
}

bool is_to_anthropic(const Call& call) {
  return interface_of(call.request) == Interface::anthropic;
}

Checked<Json> list(Service& service, const Call& call) {
  const std::vector<ModelCard> cards = cards_of(service);
  if (is_to_anthropic(call)) return list_to_anthropic(cards);
  Json data = Json::array();
  for (const ModelCard& card : cards) data.push_back(describe(card));
  return Json::object({{"object", "list"}, {"data", std::move(data)}});
}

Checked<Json> show(Service& service, const Call& call) {
  const ModelCard card = TRY(find_card(service, call.rest));
  return is_to_anthropic(call) ? describe_to_anthropic(card) : describe(card);
}

}  // namespace

const Endpoint models_endpoint{
    .method = "GET",
    .path = "/v1/models",
    .summary = "List the models that can be asked for: those in memory and all that are installed.",
    .scope = Scope::infer,
    .request_schema = "",
    .response_schema = "ModelList",
    .place = Endpoint::Place::worker,
    .handle = reply_json<list>};

const Endpoint model_endpoint{.method = "GET",
                              .path = "/v1/models/{id}",
                              .summary = "What one model is.",
                              .scope = Scope::infer,
                              .request_schema = "",
                              .response_schema = "Model",
                              .place = Endpoint::Place::worker,
                              .handle = reply_json<show>};

}  // namespace hearth::server
