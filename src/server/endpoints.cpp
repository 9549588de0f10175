#include "server/endpoints.h"

#include <algorithm>
#include <array>

#include "server/rows.h"

namespace hearth::server {
namespace {

// Whether `path` is the row's, and what stands for its {id}.
bool matches(std::string_view row, std::string_view path, std::string& rest) {
  constexpr std::string_view hole = "{id}";
  row = without_version(row);
  if (!row.ends_with(hole)) return row == path;
  row.remove_suffix(hole.size());
  if (!path.starts_with(row) || path.size() == row.size()) return false;
  rest = path.substr(row.size());
  return true;
}

}  // namespace

// "/v1/chat" -> "/chat"; "/v1/v1/chat" -> "/chat"; "/v1" -> "/".
std::string_view without_version(std::string_view path) {
  for (int i = 0; i < 2 && (path == "/v1" || path.starts_with("/v1/")); ++i) path.remove_prefix(3);
  return path.empty() ? "/" : path;
}

std::span<const Endpoint* const> endpoints() {
  static constexpr std::array list{
      &models_endpoint,          &model_endpoint,          &chat_endpoint,
      &completions_endpoint,     &embeddings_endpoint,     &tokenize_endpoint,
      &detokenize_endpoint,      &apply_template_endpoint, &ollama_chat_endpoint,
      &ollama_generate_endpoint, &ollama_embed_endpoint,   &ollama_embeddings_endpoint,
      &ollama_tags_endpoint,     &ollama_ps_endpoint,      &ollama_version_endpoint,
      &ollama_show_endpoint,     &messages_endpoint,       &count_tokens_endpoint,
      &health_endpoint,          &livez_endpoint,          &readyz_endpoint,
      &metrics_endpoint,         &openapi_endpoint,        &root_endpoint};
  return list;
}

Route find_route(std::string_view method, std::string_view path) {
  Route route;
  path = without_version(path);
  for (const Endpoint* endpoint : endpoints()) {
    std::string rest;
    if (!matches(endpoint->path, path, rest)) continue;
    if (!route.allowed.empty()) route.allowed += ", ";
    route.allowed += endpoint->method;
    if (endpoint->method == "GET") route.allowed += ", HEAD";
    if (method == endpoint->method || (method == "HEAD" && endpoint->method == "GET")) {
      route.endpoint = endpoint;
      route.rest = std::move(rest);
    }
  }
  if (!route.allowed.empty()) route.allowed += ", OPTIONS";
  return route;
}

}  // namespace hearth::server
