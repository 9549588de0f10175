// POST /api/embed and /api/embeddings.  Source: Ollama, docs/api.md, "Generate embeddings".
#include <fmt/core.h>

#include "server/embedding.h"
#include "server/fields.h"
#include "server/ollama/ollama.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

using namespace ollama;

Json to_json(const std::vector<float>& vector) {
  Json::Array list;
  for (const float x : vector) list.emplace_back(x);
  return list;
}

Checked<Embedded> embed_field(const Json& body, const LoadedModel& loaded, const Call& call,
                              std::string_view field) {
  const Model& model = loaded.model();
  EmbeddingWish wish;
  wish.param = field;
  // Unlike Ollama's, never cut unless asked.
  wish.truncate = TRY(read_bool(body, "truncate")).value_or(false);
  wish.dimensions = TRY(read_integer(body, "dimensions", 1, model.embedding_dim()));
  const auto inputs =
      TRY(read_prompts(body, field, max_embedding_inputs, model.tokenizer().size()));
  Embedded embedded = TRY(embed_inputs(loaded, inputs, wish, call.responder->stop()));
  charge(call, loaded, embedded.tokens);
  return embedded;
}

Checked<Json> embed(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const Lease lease = TRY(service.model_of(call, body));
  const Json* input = body.find("input");
  Embedded embedded;
  // Without an input the model is only to be loaded.
  if (input && !(input->is_array() && input->size() == 0))
    embedded = TRY(embed_field(body, *lease, call, "input"));
  Json vectors = Json::array();
  for (const auto& vector : embedded.vectors) vectors.push_back(to_json(vector));
  const auto took = std::chrono::steady_clock::now() - call.began;
  return Json::object(
      {{"model", *body.find("model")},
       {"embeddings", std::move(vectors)},
       {"total_duration", std::chrono::duration_cast<std::chrono::nanoseconds>(took).count()},
       {"load_duration", 0},
       {"prompt_eval_count", embedded.tokens},
       {"truncated", embedded.is_cut}});
}

Checked<Json> embeddings(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const Lease lease = TRY(service.model_of(call, body));
  const auto prompt = TRY(read_text(body, "prompt", max_text_bytes));
  if (!prompt || prompt->empty()) return Json::object({{"embedding", Json::array()}});
  const Embedded embedded = TRY(embed_field(body, *lease, call, "prompt"));
  return Json::object({{"embedding", to_json(embedded.vectors.front())}});
}

}  // namespace

const Endpoint ollama_embed_endpoint{.method = "POST",
                                     .path = "/api/embed",
                                     .summary = "Turn texts into vectors (Ollama).",
                                     .scope = Scope::embed,
                                     .request_schema = "OllamaEmbedRequest",
                                     .response_schema = "OllamaEmbedAnswer",
                                     .place = Endpoint::Place::embedder,
                                     .handle = reply_json<embed>};

const Endpoint ollama_embeddings_endpoint{.method = "POST",
                                          .path = "/api/embeddings",
                                          .summary = "Turn one text into a vector (Ollama, old).",
                                          .scope = Scope::embed,
                                          .request_schema = "OllamaEmbeddingsRequest",
                                          .response_schema = "OllamaEmbeddingsAnswer",
                                          .place = Endpoint::Place::embedder,
                                          .handle = reply_json<embeddings>};

}  // namespace hearth::server
