// LM Studio's list of models, which editors ask for windows of context.  Source: LM Studio, "REST
// API".
#include <algorithm>

#include "server/describe.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

Json describe(const ModelCard& card) {
  const bool is_generator = card.kind == ModelKind::generator;
  Json capabilities = Json::array();
  if (std::ranges::find(card.capabilities, "tools") != card.capabilities.end())
    capabilities.push_back("tool_use");
  const bool sees = std::ranges::find(card.capabilities, "vision") != card.capabilities.end();
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

Checked<Json> list(Service& service, const Call&) {
  Json data = Json::array();
  for (const ModelCard& card : cards_of(service)) data.push_back(describe(card));
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
};

}  // namespace

std::span<const Endpoint> lm_studio_rows() { return rows; }

}  // namespace hearth::server
