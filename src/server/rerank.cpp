// POST /v1/rerank, /v2/rerank: texts in the order in which they answer a query.  Source: Jina AI,
// "Reranker API"; Cohere API reference, "Rerank" (v1, v2); Hugging Face Text Embeddings Inference,
// "/rerank".
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "server/fields.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

constexpr std::int64_t max_texts = 2048;
constexpr std::size_t max_text_bytes = 1u << 20;

// A request in any of the forms.
struct RankRequest {
  std::string query;
  std::vector<std::string> texts;
  std::size_t top = 0;       // so many are wanted
  bool is_list = false;      // TEI: the answer is a list, of all
  bool gives_texts = false;  // with their texts
  bool is_raw = false;       // logits
  bool may_cut = true;       // what is too long
};

Checked<std::vector<std::string>> read_texts(const Json& list, std::string_view field) {
  if (!list.is_array() || list.size() == 0 || std::ssize(list.as_array()) > max_texts)
    return invalid_value(field, fmt::format("needs a list of 1 to {} texts", max_texts));
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Json& item = list.as_array()[i];
    const Json* text = item.is_object() ? item.find("text") : &item;
    const std::string place = fmt::format("{}[{}]", field, i);
    if (!text || !text->is_string()) return invalid_value(place, "needs a text");
    if (text->as_string().size() > max_text_bytes)
      return invalid_value(place, fmt::format("is over {} bytes", max_text_bytes));
    texts.push_back(text->as_string());
  }
  return texts;
}

Checked<RankRequest> read_request(const Json& body) {
  RankRequest request;
  const auto query = TRY(read_text(body, "query", max_text_bytes));
  if (!query) return invalid_value("query", "is missing");
  request.query = *query;
  const Json* own = body.find("texts");
  request.is_list = own && own->is_array();
  const std::string_view field = request.is_list ? "texts" : "documents";
  const Json* list = body.find(field);
  if (!list) return invalid_value(field, "is missing");
  request.texts = TRY(read_texts(*list, field));
  request.top = request.texts.size();
  if (const auto top = TRY(read_integer(body, "top_n", 1, max_texts)))
    request.top = std::min(request.top, static_cast<std::size_t>(*top));
  const char* with_texts = request.is_list ? "return_text" : "return_documents";
  request.gives_texts = TRY(read_bool(body, with_texts)).value_or(false);
  request.is_raw = TRY(read_bool(body, "raw_scores")).value_or(false);
  request.may_cut = TRY(read_bool(body, "truncate")).value_or(!request.is_list);
  return request;
}

Json results_of(const RankRequest& request, const std::vector<float>& scores) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t i) { return scores[i]; });
  order.resize(request.top);
  Json results = Json::array();
  for (const std::size_t i : order) {
    const double logit = static_cast<double>(scores[i]);
    const double score = request.is_raw ? logit : 1 / (1 + std::exp(-logit));
    Json result = Json::object(
        {{"index", i}, {request.is_list ? "score" : "relevance_score", static_cast<float>(score)}});
    if (request.gives_texts && request.is_list) result.set("text", request.texts[i]);
    if (request.gives_texts && !request.is_list)
      result.set("document", Json::object({{"text", request.texts[i]}}));
    results.push_back(std::move(result));
  }
  return results;
}

// Without a name, a model in memory that ranks.
Checked<Lease> find_ranker(Service& service, const Call& call, const Json& body) {
  if (const Json* name = body.find("model"); name && !name->is_null())
    return service.model_of(call, body);
  for (const Lease& lease : service.pool->loaded())
    if (lease->model().info().kind == ModelKind::reranker) return service.find_model(lease->id);
  return invalid_value("model", "is missing, and no model that ranks texts is in memory");
}

Checked<http::Response> run(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const Lease lease = TRY(find_ranker(service, call, body));
  const RankRequest request = TRY(read_request(body));
  if (lease->model().info().kind != ModelKind::reranker)
    return unsupported_value("model", "does not rank texts: needs a cross-encoder");
  const Ranking ranking =
      TRY(rerank_texts(*lease, request.query, request.texts, call.responder->stop()));
  if (ranking.is_cut && !request.may_cut)
    return Problem{400, "context_length_exceeded",
                   fmt::format("a text with the query is over the {} tokens that this model reads",
                               lease->runner->context_tokens()),
                   request.is_list ? "texts" : "documents", 0};
  charge(call, *lease, ranking.tokens);
  Json answer = results_of(request, ranking.scores);
  if (!request.is_list)
    answer = Json::object(
        {{"id", "rerank-" + call.request.id.substr(4)},
         {"object", "list"},
         {"model", lease->id},
         {"results", std::move(answer)},
         {"usage",
          Json::object({{"prompt_tokens", ranking.tokens}, {"total_tokens", ranking.tokens}})},
         {"meta", Json::object({{"billed_units", Json::object({{"search_units", 0}})}})}});
  http::Response response = http::json_response(write_json(answer));
  if (ranking.is_cut)
    response.headers.push_back({"x-hearth-warning", "texts too long for the model were cut"});
  return response;
}

constexpr Endpoint rows[] = {
    {"POST", "/v1/rerank", "Rank texts by how well they answer a query (Jina, Cohere, TEI).",
     Scope::embed, "RerankRequest", "RerankAnswer", Endpoint::Place::embedder, reply<run>},
    {"POST", "/v2/rerank", "The same, by Cohere's newer name.", Scope::embed, "RerankRequest",
     "RerankAnswer", Endpoint::Place::embedder, reply<run>},
};

}  // namespace

std::span<const Endpoint> rerank_rows() { return rows; }

}  // namespace hearth::server
