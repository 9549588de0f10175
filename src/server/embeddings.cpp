// POST /v1/embeddings.  Source: OpenAI API reference, "Create embeddings".
#include <cstring>

#include "http/secrets.h"
#include "server/embedding.h"
#include "server/fields.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

Json to_json(const std::vector<float>& vector, bool as_base64) {
  if (as_base64) {
    std::string bytes(vector.size() * sizeof(float), '\0');
    std::memcpy(bytes.data(), vector.data(), bytes.size());
    return http::base64(bytes);
  }
  Json::Array list;
  for (const float x : vector) list.emplace_back(x);
  return list;
}

Checked<http::Response> run(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const Lease lease = TRY(service.model_of(call, body));
  const Model& model = lease->model();
  const auto inputs =
      TRY(read_prompts(body, "input", max_embedding_inputs, model.tokenizer().size()));
  const auto dimensions = TRY(read_integer(body, "dimensions", 1, model.embedding_dim()));
  const auto format = TRY(read_text(body, "encoding_format", 16)).value_or("float");
  if (format != "float" && format != "base64")
    return invalid_value("encoding_format", "needs to be float or base64");
  const bool truncate = TRY(read_bool(body, "truncate")).value_or(false);
  Embedded embedded = TRY(embed_inputs(
      *lease, inputs, {.truncate = truncate, .dimensions = dimensions}, call.responder->stop()));
  const std::int64_t used = embedded.tokens;
  charge(call, *lease, used);
  Json data = Json::array();
  for (std::size_t i = 0; i < embedded.vectors.size(); ++i)
    data.push_back(Json::object({{"object", "embedding"},
                                 {"index", i},
                                 {"embedding", to_json(embedded.vectors[i], format == "base64")}}));
  return http::json_response(write_json(
      Json::object({{"object", "list"},
                    {"data", std::move(data)},
                    {"model", lease->id},
                    {"usage", Json::object({{"prompt_tokens", used}, {"total_tokens", used}})}})));
}

}  // namespace

const Endpoint embeddings_endpoint{.method = "POST",
                                   .path = "/v1/embeddings",
                                   .summary = "Turn texts into vectors.",
                                   .scope = Scope::embed,
                                   .request_schema = "EmbeddingRequest",
                                   .response_schema = "EmbeddingAnswer",
                                   .place = Endpoint::Place::embedder,
                                   .handle = reply<run>};

}  // namespace hearth::server
