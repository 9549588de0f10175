#include "server/interfaces.h"

#include <fmt/core.h>

#include "base/json.h"
#include "server/endpoints.h"

namespace hearth::server {
namespace {

// Source: Anthropic API reference, "Errors".
std::string_view anthropic_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

struct Refused {
  std::string_view path, why;
};

constexpr Refused refused[] = {{"/api/push", "there is no registry to push to"},
                               {"/audio", "no model here hears or speaks"},
                               {"/images", "no model here makes images"},
                               {"/moderations", "no model here judges texts"}};

constexpr std::string_view own_paths[] = {"/api/collections", "/api/models", "/api/downloads",
                                          "/api/system",      "/api/config", "/api/v0",
                                          "/api/v1",          "/api/keys",   "/api/events"};

}  // namespace

Interface interface_of(const http::Request& request) {
  const std::string_view path = without_version(request.path);
  // Our own, though below Ollama's.
  for (const std::string_view own : own_paths)
    if (path == own || (path.starts_with(own) && path[own.size()] == '/')) return Interface::openai;
  if (path == "/api" || path.starts_with("/api/")) return Interface::ollama;
  if (path == "/messages" || path.starts_with("/messages/")) return Interface::anthropic;
  return request.header("anthropic-version") ? Interface::anthropic : Interface::openai;
}

std::string error_json(Interface interface, const Problem& problem, std::string_view request_id) {
  switch (interface) {
    case Interface::openai:
      return http::error_json(problem);
    case Interface::ollama:
      return write_json(Json::object({{"error", problem.message}}));
    case Interface::anthropic:
      break;
  }
  return write_json(Json::object({{"type", "error"},
                                  {"error", Json::object({{"type", anthropic_type(problem.status)},
                                                          {"message", problem.message}})},
                                  {"request_id", request_id}}));
}

http::Response error_response(const http::Request& request, const Problem& problem) {
  const Interface interface = interface_of(request);
  http::Response response =
      http::json_response(error_json(interface, problem, request.id), problem.status);
  if (problem.retry_after_seconds > 0)
    response.headers.push_back({"Retry-After", fmt::format("{}", problem.retry_after_seconds)});
  if (interface == Interface::anthropic) response.headers.push_back({"request-id", request.id});
  return response;
}

Problem context_overflow(Interface interface, std::int64_t prompt_tokens,
                         std::int64_t context_tokens) {
  Problem problem = context_overflow(prompt_tokens, context_tokens);
  if (interface == Interface::anthropic)
    problem.message = fmt::format("prompt is too long: {} tokens > {} maximum context length",
                                  prompt_tokens, context_tokens);
  return problem;
}

Problem unknown_path(const http::Request& request) {
  const std::string_view path = without_version(request.path);
  for (const Refused& row : refused)
    if (path == row.path || (path.starts_with(row.path) && path[row.path.size()] == '/'))
      return {501, "unsupported", fmt::format("{} is not offered: {}", row.path, row.why), "", 0};
  return {404, "unknown_url", "There is no such URL here; /openapi.json lists those that there are",
          "", 0};
}

}  // namespace hearth::server
