#include "server/endpoints.h"

#include <algorithm>
#include <array>

#include "server/rows.h"

namespace hearth::server {
namespace {

// Whether `path` is the row's, and what stands for its {id}.
bool matches(std::string_view row, std::string_view path, Route& route) {
  constexpr std::string_view hole = "{id}";
  row = without_version(row);
  for (;;) {
    const std::size_t open = row.find('{');
    if (open == row.npos) return row == path;
    if (!path.starts_with(row.substr(0, open)) || path.size() == open) return false;
    path.remove_prefix(open);
    row.remove_prefix(open);
    if (row == hole) {
      route.rest = path;
      return true;
    }
    route.parts.emplace_back(path.substr(0, path.find('/')));
    path.remove_prefix(route.parts.back().size());
    row.remove_prefix(row.find('}') + 1);
  }
}

}  // namespace

// "/v1/chat" -> "/chat"; "/v1/v1/chat" -> "/chat"; "/v1" -> "/".
std::string_view without_version(std::string_view path) {
  for (int i = 0; i < 2 && (path == "/v1" || path.starts_with("/v1/")); ++i) path.remove_prefix(3);
  return path.empty() ? "/" : path;
}

std::span<const Endpoint* const> endpoints() {
  static const std::vector<const Endpoint*> list = [] {
    std::vector<const Endpoint*> all{
        &models_endpoint,          &model_endpoint,          &chat_endpoint,
        &completions_endpoint,     &embeddings_endpoint,     &tokenize_endpoint,
        &detokenize_endpoint,      &apply_template_endpoint, &ollama_chat_endpoint,
        &ollama_generate_endpoint, &ollama_embed_endpoint,   &ollama_embeddings_endpoint,
        &ollama_tags_endpoint,     &ollama_ps_endpoint,      &ollama_version_endpoint,
        &ollama_show_endpoint,     &messages_endpoint,       &count_tokens_endpoint,
        &health_endpoint,          &livez_endpoint,          &readyz_endpoint,
        &metrics_endpoint,         &openapi_endpoint,        &root_endpoint};
    for (const auto& rows :
         {response_rows(),      conversation_rows(),  access_rows(),     batch_rows(),
          message_batch_rows(), rerank_rows(),        graph_rows(),      mcp_rows(),
          llama_server_rows(),  lm_studio_rows(),     collection_rows(), vector_store_rows(),
          file_rows(),          model_rows(),         download_rows(),   upload_rows(),
          event_rows(),         system_rows(),        config_rows(),     optimization_rows(),
          ollama_manage_rows(), transcription_rows(), unable_rows()})
      for (const Endpoint& row : rows) all.push_back(&row);
    return all;
  }();
  return list;
}

Route find_route(std::string_view method, std::string_view path) {
  Route route;
  path = without_version(path);
  for (const Endpoint* endpoint : endpoints()) {
    Route found;
    if (!matches(endpoint->path, path, found)) continue;
    if (!route.allowed.empty()) route.allowed += ", ";
    route.allowed += endpoint->method;
    if (endpoint->method == "GET") route.allowed += ", HEAD";
    if (method == endpoint->method || (method == "HEAD" && endpoint->method == "GET")) {
      route.endpoint = endpoint;
      route.rest = std::move(found.rest);
      route.parts = std::move(found.parts);
    }
  }
  if (!route.allowed.empty()) route.allowed += ", OPTIONS";
  return route;
}

}  // namespace hearth::server
