#include "server/mcp/tools.h"

#include <fmt/core.h>

#include "base/utf8.h"

namespace hearth::server::mcp {
namespace {

constexpr Tool all_tools[] = {
    {"get_model_catalog", "Catalog of models",
     "Models that can be downloaded, with their sizes, licences and whether they fit this machine.",
     "GET", "/api/models/available",
     R"({"type":"object","properties":{
"task":{"type":"string","enum":["chat","code","embed","rerank","vision"]},
"fits":{"type":"boolean","description":"Only those that fit this machine's memory."}}})",
     ""},
    {"search_models", "Search models",
     "Models of the catalog whose name or description has the words.", "GET",
     "/api/models/available",
     R"({"type":"object","properties":{"q":{"type":"string","description":"Words to look for."},
"task":{"type":"string","enum":["chat","code","embed","rerank","vision"]},
"fits":{"type":"boolean","description":"Only those that fit this machine's memory."}},
"required":["q"]})",
     ""},
    {"search_hub", "Search Hugging Face",
     "Models of Hugging Face whose name has the words, in forms that Hearth reads, most downloaded "
     "first.",
     "GET", "/api/models/search",
     R"({"type":"object","properties":{"q":{"type":"string","description":"Words to look for."},
"limit":{"type":"integer","minimum":1,"maximum":50}},"required":["q"]})",
     ""},
    {"list_models", "Models here", "The models that are on this machine.", "GET",
     "/api/models/list", R"({"type":"object","properties":{}})", ""},
    {"describe_model", "Describe a model",
     "What a model on this machine is: architecture, parameters, quantisation, context, memory.",
     "POST", "/api/models/show",
     R"({"type":"object","properties":{"model":{"type":"string"}},"required":["model"]})", ""},
    {"load_remote_model", "Download a model",
     "Starts to download a model of the catalog, Hugging Face (hf:org/repo) or Ollama's library "
     "(ollama:name).  Answers at once: see get_downloads.",
     "POST", "/api/models/pull",
     R"({"type":"object","properties":{"model":{"type":"string"}},"required":["model"]})", "",
     false},
    {"get_downloads", "Downloads", "How far downloads are.", "GET", "/api/downloads",
     R"({"type":"object","properties":{}})", ""},
    {"load_model", "Load a model", "Loads a model into memory before it is needed.", "POST",
     "/api/models/load",
     R"({"type":"object","properties":{"model":{"type":"string"}},"required":["model"]})", "",
     false},
    {"unload_model", "Unload a model", "Takes a model out of memory once nobody uses it.", "POST",
     "/api/models/unload",
     R"({"type":"object","properties":{"model":{"type":"string"}},"required":["model"]})", "",
     false},
    {"run_model", "Ask a model", "Has a local model answer a conversation.", "POST",
     "/v1/chat/completions",
     R"({"type":"object","properties":{"model":{"type":"string","description":"\"default\": the one that is served."},
"messages":{"type":"array","items":{"type":"object","properties":{
"role":{"type":"string","enum":["system","user","assistant"]},"content":{"type":"string"}},
"required":["role","content"]}},
"max_tokens":{"type":"integer","minimum":1},"temperature":{"type":"number","minimum":0,"maximum":2},
"seed":{"type":"integer"},"response_format":{"type":"object"}},"required":["model","messages"]})",
     "choices.0.message.content"},
    {"embed_texts", "Embed texts", "Turns texts into vectors.", "POST", "/v1/embeddings",
     R"({"type":"object","properties":{"model":{"type":"string"},
"input":{"type":"array","items":{"type":"string"}}},"required":["model","input"]})",
     ""},
    {"rerank_texts", "Rank texts", "Orders texts by how well they answer a query.", "POST",
     "/v1/rerank",
     R"({"type":"object","properties":{"model":{"type":"string"},"query":{"type":"string"},
"documents":{"type":"array","items":{"type":"string"}},"top_n":{"type":"integer","minimum":1}},
"required":["query","documents"]})",
     ""},
    {"count_tokens", "Count tokens", "How many tokens a text is for a model.", "POST", "/tokenize",
     R"({"type":"object","properties":{"model":{"type":"string"},"content":{"type":"string"}},
"required":["content"]})",
     "count"},
    {"list_collections", "Collections", "The collections of documents on this machine.", "GET",
     "/api/collections", R"({"type":"object","properties":{}})", ""},
    {"search_collection", "Search a collection",
     "Finds documents of a collection by meaning and words.", "POST",
     "/api/collections/{collection}/query",
     R"({"type":"object","properties":{"collection":{"type":"string"},"text":{"type":"string"},
"k":{"type":"integer","minimum":1,"maximum":100},"filter":{"type":["object","string"]}},
"required":["collection","text"]})",
     ""},
    {"get_system_info", "This machine", "Processor, memory, graphics processors, disk.", "GET",
     "/api/system/info", R"({"type":"object","properties":{}})", ""},
};

constexpr Resource all_resources[] = {
    {"mcp://hearth/catalog", "catalog", "Models that can be downloaded.", "/api/models/available"},
    {"mcp://hearth/models", "models", "Models that are on this machine.", "/api/models/list"},
    {"mcp://hearth/status", "status", "What is in memory.", "/api/models/status"},
    {"mcp://hearth/collections", "collections", "Collections of documents.", "/api/collections"},
    {"mcp://hearth/models/{name}", "model", "What one model is, and how it is set up.",
     "/api/models/show/"},
};

http::Request request(std::string_view method, std::string path) {
  http::Request request;
  request.method = method;
  request.path = std::move(path);
  return request;
}

// Goes into a path as one part of it.
bool is_path_part(const Json* value) {
  return value && value->is_string() && !value->as_string().empty() &&
         value->as_string().find_first_of("/?#%\\") == std::string::npos &&
         !value->as_string().starts_with('.');
}

std::string query_text(const Json& value) {
  return value.is_string() ? value.as_string() : write_json(value);
}

}  // namespace

std::span<const Tool> tools() { return all_tools; }
std::span<const Resource> resources() { return all_resources; }

Checked<http::Request> request_of(const Tool& tool, Json arguments) {
  std::string path(tool.path);
  if (const std::size_t open = path.find('{'); open != path.npos) {
    const std::size_t close = path.find('}', open);
    const std::string name = path.substr(open + 1, close - open - 1);
    const Json* value = arguments.find(name);
    if (!is_path_part(value)) return invalid_value(name, "needs a name");
    path.replace(open, close - open + 1, value->as_string());
    std::erase_if(arguments.as_object(),
                  [&](const Json::Member& one) { return one.first == name; });
  }
  http::Request made = request(tool.method, std::move(path));
  if (tool.method == "GET") {
    for (const auto& [name, value] : arguments.as_object())
      made.query.emplace_back(name, query_text(value));
  } else {
    made.headers.push_back({"Content-Type", "application/json"});
    made.body = write_json(arguments);
  }
  return made;
}

std::optional<http::Request> request_of_resource(std::string_view uri) {
  constexpr std::string_view hole = "{name}";
  for (const Resource& row : all_resources) {
    const bool is_template = row.uri.ends_with(hole);
    if (!is_template && uri == row.uri) return request("GET", std::string(row.path));
    if (!is_template) continue;
    const std::string_view start = row.uri.substr(0, row.uri.size() - hole.size());
    if (!uri.starts_with(start)) continue;
    const std::string_view name = uri.substr(start.size());
    if (name.empty() || name.starts_with('.') || name.contains("..") || name.starts_with('/'))
      return std::nullopt;
    return request("GET", std::string(row.path) + std::string(name));
  }
  return std::nullopt;
}

}  // namespace hearth::server::mcp
