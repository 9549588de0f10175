// POST /v1/embeddings.  Source: OpenAI API reference, "Create embeddings".
#include <fmt/core.h>

#include <cmath>
#include <cstring>

#include "http/secrets.h"
#include "server/fields.h"
#include "server/prompts.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

constexpr std::size_t max_inputs = 2048;  // the limit that page gives

// Keeps the first `dimensions` numbers and gives the vector its length of 1 back.
void shorten(std::vector<float>& vector, std::size_t dimensions) {
  vector.resize(dimensions);
  double sum = 0;
  for (const float x : vector) sum += static_cast<double>(x) * static_cast<double>(x);
  const double scale = sum > 0 ? 1 / std::sqrt(sum) : 0;
  for (float& x : vector) x = static_cast<float>(static_cast<double>(x) * scale);
}

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

Checked<std::vector<std::vector<Token>>> tokenize(const LoadedModel& model,
                                                  const std::vector<TextOrTokens>& inputs,
                                                  bool truncate) {
  const Tokenizer& tokenizer = model.model().tokenizer();
  const std::size_t limit = model.runner->context_tokens();
  std::vector<std::vector<Token>> all;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto* text = std::get_if<std::string>(&inputs[i]);
    if (text && text->empty()) return invalid_value(fmt::format("input[{}]", i), "is empty");
    std::vector<Token> tokens;
    if (text)
      tokens = TRY(tokenizer.encode(*text, {.add_special = true}));
    else
      tokens = std::get<std::vector<Token>>(inputs[i]);
    if (tokens.empty()) return invalid_value(fmt::format("input[{}]", i), "has no tokens");
    if (tokens.size() > limit && truncate) {
      // The last token, which may end the text for the model, stays the last.
      tokens[limit - 1] = tokens.back();
      tokens.resize(limit);
    }
    if (tokens.size() > limit) {
      Problem problem = context_overflow(static_cast<std::int64_t>(tokens.size()),
                                         static_cast<std::int64_t>(limit));
      problem.param = fmt::format("input[{}]", i);
      problem.message += fmt::format(" (input[{}])", i);
      return problem;
    }
    all.push_back(std::move(tokens));
  }
  return all;
}

Checked<http::Response> run(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const Lease lease = TRY(service.model_of(body));
  const Model& model = lease->model();
  const auto inputs = TRY(read_prompts(body, "input", max_inputs, model.tokenizer().size()));
  const auto dimensions = TRY(read_integer(body, "dimensions", 1, model.embedding_dim()));
  const auto format = TRY(read_text(body, "encoding_format", 16)).value_or("float");
  if (format != "float" && format != "base64")
    return invalid_value("encoding_format", "needs to be float or base64");
  const bool truncate = TRY(read_bool(body, "truncate")).value_or(false);
  const auto tokens = TRY(tokenize(*lease, inputs, truncate));
  auto vectors = TRY(lease->runner->embed(tokens, call.responder->stop()));

  std::int64_t used = 0;
  for (const auto& list : tokens) used += static_cast<std::int64_t>(list.size());
  Json data = Json::array();
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    if (dimensions && static_cast<std::size_t>(*dimensions) < vectors[i].size())
      shorten(vectors[i], static_cast<std::size_t>(*dimensions));
    data.push_back(Json::object({{"object", "embedding"},
                                 {"index", i},
                                 {"embedding", to_json(vectors[i], format == "base64")}}));
  }
  return http::json_response(write_json(
      Json::object({{"object", "list"},
                    {"data", std::move(data)},
                    {"model", lease->id},
                    {"usage", Json::object({{"prompt_tokens", used}, {"total_tokens", used}})}})));
}

void handle(Service& service, Call call) {
  auto response = run(service, call);
  if (response.ok())
    send(service, call, std::move(response).value());
  else
    send(service, call, std::move(response).error());
}

}  // namespace

const Endpoint embeddings_endpoint{.method = "POST",
                                   .path = "/v1/embeddings",
                                   .summary = "Turn texts into vectors.",
                                   .scope = Scope::infer,
                                   .request_schema = "EmbeddingRequest",
                                   .response_schema = "EmbeddingAnswer",
                                   .place = Endpoint::Place::embedder,
                                   .handle = handle};

}  // namespace hearth::server
