// LM Studio's lists of models, which editors ask for windows of context.  Source: LM Studio, "REST
// API v0" and "REST API v1".
#include <algorithm>

#include "server/describe.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

bool has_capability(const ModelCard& card, std::string_view name) {
  return std::ranges::find(card.capabilities, name) != card.capabilities.end();
}

// It has no type for models that hear.
bool has_type(const ModelCard& card) { return card.kind != ModelKind::transcriber; }

Json describe(const ModelCard& card) {
  const bool is_generator = card.kind == ModelKind::generator;
  Json capabilities = Json::array();
  if (has_capability(card, "tools")) capabilities.push_back("tool_use");
  const bool sees = has_capability(card, "vision");
  Json described = Json::object({{"id", card.id},
                                 {"object", "model"},
                                 {"type", !is_generator ? "embeddings"
                                          : sees        ? "vlm"
                                                        : "llm"},
                                 {"publisher", "hearth"},
                                 {"arch", card.architecture},
                                 {"compatibility_type", "gguf"},
                                 {"quantization", card.quantisation},
                                 {"state", card.is_loaded ? "loaded" : "not-loaded"},
                                 {"max_context_length", card.trained_context},
                                 {"capabilities", std::move(capabilities)}});
  if (card.is_loaded) described.set("loaded_context_length", card.context);
  return described;
}

// The newer form of the same.
Json describe_anew(const ModelCard& card) {
  const bool is_generator = card.kind == ModelKind::generator;
  Json loaded = Json::array();
  if (card.is_loaded)
    loaded.push_back(Json::object(
        {{"id", card.id}, {"config", Json::object({{"context_length", card.context}})}}));
  Json described = Json::object({{"type", is_generator ? "llm" : "embedding"},
                                 {"publisher", "hearth"},
                                 {"key", card.id},
                                 {"display_name", card.title.empty() ? card.id : card.title},
                                 {"architecture", card.architecture},
                                 {"quantization", Json::object({{"name", card.quantisation}})},
                                 {"size_bytes", card.file_bytes},
                                 {"params", card.parameters},
                                 {"loaded_instances", std::move(loaded)},
                                 {"max_context_length", card.trained_context},
                                 {"format", "gguf"}});
  if (is_generator)
    described.set("capabilities",
                  Json::object({{"vision", has_capability(card, "vision")},
                                {"trained_for_tool_use", has_capability(card, "tools")}}));
  return described;
}

Checked<Json> list_anew(Service& service, const Call&) {
  Json models = Json::array();
  for (const ModelCard& card : cards_of(service))
    if (has_type(card)) models.push_back(describe_anew(card));
  return Json::object({{"models", std::move(models)}});
}

Checked<Json> list(Service& service, const Call&) {
  Json data = Json::array();
  for (const ModelCard& card : cards_of(service))
    if (has_type(card)) data.push_back(describe(card));
  return Json::object({{"object", "list"}, {"data", std::move(data)}});
}

Checked<Json> show(Service& service, const Call& call) {
  return describe(TRY(find_card(service, call.rest)));
}

constexpr auto worker = Endpoint::Place::worker;
constexpr Endpoint rows[] = {
    {"GET", "/api/v0/models", "The models that are here (LM Studio).", Scope::infer, "", "", worker,
     reply_json<list>},
    {"GET", "/api/v0/models/{id}", "What one model is (LM Studio).", Scope::infer, "", "", worker,
     reply_json<show>},
    {"GET", "/api/v1/models", "The models that are here (LM Studio, its newer form).", Scope::infer,
     "", "", worker, reply_json<list_anew>},
};

}  // namespace

std::span<const Endpoint> lm_studio_rows() { return rows; }

}  // namespace hearth::server
