// GET /api/tags, /api/ps and /api/version, POST /api/show.  Source: Ollama, docs/api.md.
#include <fmt/core.h>

#include <algorithm>

#include "base/ascii.h"
#include "engines/engines.h"
#include "http/secrets.h"
#include "library/modelfile.h"
#include "library/recommended.h"
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

// Tells files apart without reading them: gigabytes would have to be hashed.
std::string digest_of(const ModelCard& card) {
  return http::hex_text(
      http::sha256(fmt::format("{}\n{}\n{}\n{}\n{}", card.id, card.architecture, card.file_bytes,
                               card.parameters, card.quantisation)));
}

Json details_of(const ModelCard& card) {
  const std::string& file = card.path;
  const bool is_safetensors =
      file.ends_with(".safetensors") ||
      (file.contains('/') && !file.ends_with(".gguf") && !file.contains("/blobs/"));
  return Json::object({{"parent_model", ""},
                       {"format", is_safetensors ? "safetensors" : "gguf"},
                       {"family", card.architecture},
                       {"families", Json(Json::Array{card.architecture})},
                       {"parameter_size", size_text(card.parameters)},
                       {"quantization_level", ascii_upper(card.quantisation)},
                       {"context_length", card.context},
                       {"embedding_length", card.dim}});
}

Json capability_list(const ModelCard& card) {
  Json list = Json::array();
  for (const std::string& name : card.capabilities) list.push_back(name);
  return list;
}

Json entry_of(const ModelCard& card) {
  const std::string name = tagged(card.id);
  return Json::object({{"name", name},
                       {"model", name},
                       {"modified_at", time_text(card.created_seconds * 1'000'000)},
                       {"size", card.file_bytes},
                       {"digest", digest_of(card)},
                       {"details", details_of(card)},
                       {"capabilities", capability_list(card)}});
}

Checked<Json> tags(Service& service, const Call&) {
  Json models = Json::array();
  for (const ModelCard& card : cards_of(service)) models.push_back(entry_of(card));
  return Json::object({{"models", std::move(models)}});
}

// What stays says so with a far year.
std::string expiry_of(const PoolModel& model) {
  if (model.is_pinned || (!model.expires_in && model.users == 0))
    return "2999-12-31T00:00:00.000000+00:00";
  const std::int64_t left_ms = model.expires_in ? model.expires_in->count() : 0;
  return time_text(unix_seconds() * 1'000'000 + left_ms * 1000);
}

Checked<Json> ps(Service& service, const Call&) {
  Json models = Json::array();
  for (const PoolModel& model : service.pool->models()) {
    const Lease lease = service.pool->peek(model.id);
    if (!lease || model.state != PoolModel::State::ready) continue;
    const ModelCard card = card_of(*lease);
    Json entry = entry_of(card);
    entry.set("size", model.bytes);
    entry.set("expires_at", expiry_of(model));
    entry.set("size_vram", 0);
    entry.set("context_length", card.context);
    models.push_back(std::move(entry));
  }
  return Json::object({{"models", std::move(models)}});
}

Checked<Json> version(Service&, const Call&) {
  return Json::object({{"version", interface_version}, {"hearth", HEARTH_VERSION}});
}

// A model as /api/show tells of it, in memory or read from its headers.
struct Shown {
  ModelInfo info;
  SamplingOptions sampling;
  std::string chat_template, algorithm;
};

bool can_fill_in(const Tokenizer& tokenizer) {
  const SpecialTokens& special = tokenizer.special();
  return special.fim_prefix && special.fim_suffix && special.fim_middle;
}

Checked<Shown> read_shown(Service& service, const std::string& name, ModelCard& card) {
  if (const Lease lease = service.find_loaded(name))
    return Shown{lease->model().info(), lease->sampling,
                 std::string(lease->model().chat_template_source()),
                 std::string(lease->model().tokenizer().algorithm())};
  const Package package = TRY(open_reference(card.path));
  Shown shown{.info = TRY(describe_package(package)),
              .sampling = recommended_sampling(package),
              .chat_template = chat_template_source(package).value_or(""),
              .algorithm = ""};
  if (const auto tokenizer = load_tokenizer(package)) {
    shown.algorithm = (*tokenizer)->algorithm();
    if (card.kind == ModelKind::generator && can_fill_in(**tokenizer))
      card.capabilities.emplace_back("insert");
  }
  return shown;
}

// As lines of a Modelfile, which some clients read num_ctx from.
std::string parameters_of(const ModelCard& card, const SamplingOptions& sampling,
                          const Preset& preset) {
  std::string lines = write_parameters(preset);
  const auto add = [&](std::string_view field, std::string_view name, const auto& value) {
    if (!preset.fields.find(field)) lines += fmt::format("{} {}\n", name, value);
  };
  add("num_ctx", "num_ctx", card.context);
  add("temperature", "temperature", sampling.temperature);
  add("top_k", "top_k", sampling.top_k);
  add("top_p", "top_p", sampling.top_p);
  add("min_p", "min_p", sampling.min_p);
  add("repetition_penalty", "repeat_penalty", sampling.repetition_penalty);
  lines.pop_back();
  return lines;
}

Json model_info_of(const ModelCard& card, const Shown& shown) {
  const ModelInfo& info = shown.info;
  const auto own = [&](std::string_view name) {
    return fmt::format("{}.{}", info.architecture, name);
  };
  return Json::object({{"general.architecture", info.architecture},
                       {"general.name", info.name},
                       {"general.parameter_count", info.parameters},
                       {own("context_length"), card.context},
                       {own("embedding_length"), info.dim},
                       {own("block_count"), info.layers},
                       {own("attention.head_count"), info.heads},
                       {own("attention.head_count_kv"), info.kv_heads},
                       {"tokenizer.ggml.model", shown.algorithm}});
}

Checked<Json> show(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const std::string name = TRY(read_model_name(body));
  ModelCard card = TRY(find_card(service, name));
  const Shown shown = TRY(read_shown(service, name, card));
  const Preset preset = service.installed ? service.installed->preset(name) : Preset();
  std::string text = shown.chat_template;
  // Editors look for this word in the template to know whether a suffix may be given.
  if (std::ranges::find(card.capabilities, "insert") != card.capabilities.end())
    text += "{# .Suffix #}";
  return Json::object({{"license", preset.licence},
                       {"modelfile", write_modelfile(card.id, preset)},
                       {"parameters", parameters_of(card, shown.sampling, preset)},
                       {"template", std::move(text)},
                       {"system", preset.system},
                       {"details", details_of(card)},
                       {"messages", preset.messages},
                       {"model_info", model_info_of(card, shown)},
                       {"capabilities", capability_list(card)},
                       {"modified_at", time_text(card.created_seconds * 1'000'000)}});
}

constexpr Endpoint row(std::string_view method, std::string_view path, std::string_view summary,
                       std::string_view response, void (*handle)(Service&, Call)) {
  return {.method = method,
          .path = path,
          .summary = summary,
          .scope = Scope::infer,
          .request_schema = method == "POST" ? "OllamaShowRequest" : "",
          .response_schema = response,
          .place = Endpoint::Place::worker,
          .handle = handle,
          .generates = false};
}

}  // namespace

const Endpoint ollama_tags_endpoint =
    row("GET", "/api/tags", "List the models that can be asked for (Ollama).", "OllamaTags",
        reply_json<tags>);
const Endpoint ollama_ps_endpoint =
    row("GET", "/api/ps", "List the models in memory (Ollama).", "OllamaTags", reply_json<ps>);
const Endpoint ollama_version_endpoint =
    row("GET", "/api/version", "The version of Ollama's interface that is spoken.", "OllamaVersion",
        reply_json<version>);
const Endpoint ollama_show_endpoint =
    row("POST", "/api/show", "What one model is (Ollama).", "OllamaShow", reply_json<show>);

}  // namespace hearth::server
