// GET /api/tags, /api/ps and /api/version, POST /api/show.  Source: Ollama, docs/api.md.
#include <fmt/core.h>

#include <algorithm>

#include "http/secrets.h"
#include "server/describe.h"
#include "server/fields.h"
#include "server/ollama/ollama.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

using namespace ollama;

// The version whose interface this is: clients compare it to see what they may ask for.
constexpr std::string_view interface_version = "0.12.6";

// "1.2B", "270.0M"
std::string size_text(std::uint64_t parameters) {
  const auto count = static_cast<double>(parameters);
  if (count >= 1e9) return fmt::format("{:.1f}B", count / 1e9);
  if (count >= 1e6) return fmt::format("{:.1f}M", count / 1e6);
  return fmt::format("{:.1f}K", count / 1e3);
}

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

// Tells files apart without reading them: gigabytes would have to be hashed.
std::string digest_of(const LoadedModel& loaded) {
  const ModelInfo& info = loaded.model().info();
  std::string hex;
  for (const auto byte :
       http::sha256(fmt::format("{}\n{}\n{}\n{}\n{}", loaded.id, info.architecture, info.file_bytes,
                                info.parameters, info.quantisation)))
    hex += fmt::format("{:02x}", byte);
  return hex;
}

Json details_of(const LoadedModel& loaded) {
  const ModelInfo& info = loaded.model().info();
  const std::string& file = loaded.path;
  const bool is_safetensors =
      file.ends_with(".safetensors") || (file.contains('/') && !file.ends_with(".gguf"));
  return Json::object({{"parent_model", ""},
                       {"format", is_safetensors ? "safetensors" : "gguf"},
                       {"family", info.architecture},
                       {"families", Json(Json::Array{info.architecture})},
                       {"parameter_size", size_text(info.parameters)},
                       {"quantization_level", upper(info.quantisation)},
                       {"context_length", loaded.runner->context_tokens()},
                       {"embedding_length", info.dim}});
}

Json capability_list(const LoadedModel& loaded) {
  Json list = Json::array();
  for (const std::string_view name : capabilities_of(loaded)) list.push_back(name);
  return list;
}

Json entry_of(const LoadedModel& loaded) {
  const std::string name = tagged(loaded.id);
  return Json::object({{"name", name},
                       {"model", name},
                       {"modified_at", time_text(loaded.loaded_seconds * 1'000'000)},
                       {"size", loaded.model().info().file_bytes},
                       {"digest", digest_of(loaded)},
                       {"details", details_of(loaded)},
                       {"capabilities", capability_list(loaded)}});
}

Checked<Json> tags(Service& service, const Call&) {
  Json models = Json::array();
  for (const Lease& lease : service.models) models.push_back(entry_of(*lease));
  return Json::object({{"models", std::move(models)}});
}

Checked<Json> ps(Service& service, const Call&) {
  Json models = Json::array();
  for (const Lease& lease : service.models) {
    Json entry = entry_of(*lease);
    // Models stay as long as the server runs.
    entry.set("expires_at", "2999-12-31T00:00:00.000000+00:00");
    entry.set("size_vram", 0);
    entry.set("context_length", lease->runner->context_tokens());
    models.push_back(std::move(entry));
  }
  return Json::object({{"models", std::move(models)}});
}

Checked<Json> version(Service&, const Call&) {
  return Json::object({{"version", interface_version}, {"hearth", HEARTH_VERSION}});
}

// As lines of a Modelfile, which some clients read num_ctx from.
std::string parameters_of(const LoadedModel& loaded) {
  const SamplingOptions& sampling = loaded.sampling;
  return fmt::format("num_ctx {}\ntemperature {}\ntop_k {}\ntop_p {}\nmin_p {}\nrepeat_penalty {}",
                     loaded.runner->context_tokens(), sampling.temperature, sampling.top_k,
                     sampling.top_p, sampling.min_p, sampling.repetition_penalty);
}

Json model_info_of(const LoadedModel& loaded) {
  const ModelInfo& info = loaded.model().info();
  const auto own = [&](std::string_view name) {
    return fmt::format("{}.{}", info.architecture, name);
  };
  return Json::object({{"general.architecture", info.architecture},
                       {"general.name", info.name},
                       {"general.parameter_count", info.parameters},
                       {own("context_length"), loaded.runner->context_tokens()},
                       {own("embedding_length"), info.dim},
                       {own("block_count"), info.layers},
                       {own("attention.head_count"), info.heads},
                       {own("attention.head_count_kv"), info.kv_heads},
                       {"tokenizer.ggml.model", loaded.model().tokenizer().algorithm()}});
}

Checked<Json> show(Service& service, const Call& call) {
  Json body = TRY(parse_body(call.request.body));
  if (const Json* name = body.find("name"); name && !body.find("model"))
    body.set("model", Json(*name));
  const Lease lease = TRY(service.model_of(body));
  std::string text(lease->model().chat_template_source());
  const auto capabilities = capabilities_of(*lease);
  // Editors look for this word in the template to know whether a suffix may be given.
  if (std::find(capabilities.begin(), capabilities.end(), "insert") != capabilities.end())
    text += "{# .Suffix #}";
  return Json::object({{"license", ""},
                       {"modelfile", fmt::format("FROM {}\n", lease->id)},
                       {"parameters", parameters_of(*lease)},
                       {"template", std::move(text)},
                       {"system", ""},
                       {"details", details_of(*lease)},
                       {"messages", Json::array()},
                       {"model_info", model_info_of(*lease)},
                       {"capabilities", capability_list(*lease)},
                       {"modified_at", time_text(lease->loaded_seconds * 1'000'000)}});
}

constexpr Endpoint row(std::string_view method, std::string_view path, std::string_view summary,
                       std::string_view response, void (*handle)(Service&, Call)) {
  return {.method = method,
          .path = path,
          .summary = summary,
          .scope = Scope::infer,
          .request_schema = method == "POST" ? "OllamaShowRequest" : "",
          .response_schema = response,
          .place = Endpoint::Place::loop,
          .handle = handle,
          .generates = false};
}

}  // namespace

const Endpoint ollama_tags_endpoint =
    row("GET", "/api/tags", "List the models served (Ollama).", "OllamaTags", reply_json<tags>);
const Endpoint ollama_ps_endpoint =
    row("GET", "/api/ps", "List the models in memory (Ollama).", "OllamaTags", reply_json<ps>);
const Endpoint ollama_version_endpoint =
    row("GET", "/api/version", "The version of Ollama's interface that is spoken.", "OllamaVersion",
        reply_json<version>);
const Endpoint ollama_show_endpoint =
    row("POST", "/api/show", "What one model is (Ollama).", "OllamaShow", reply_json<show>);

}  // namespace hearth::server
