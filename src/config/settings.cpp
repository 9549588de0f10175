// Every setting.  To add one: a field in Config and a row here.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/duration.h"
#include "base/utf8.h"
#include "config/config.h"
#include "config/secrets.h"

namespace hearth {
namespace {

using Words = std::span<const std::string_view>;

Error needs(const Setting& setting, const Json& value, std::string_view what) {
  const std::string held = value.is_string() ? value.as_string() : write_json(value);
  return Error(ErrorKind::invalid,
               fmt::format("{} = '{}': needs {}", setting.key, printable(held), what));
}

Status assign(const Setting& setting, std::string& field, const Json& value) {
  if (!value.is_string()) return needs(setting, value, "text");
  field = value.as_string();
  return Done{};
}

Status assign(const Setting& setting, std::int64_t& field, const Json& value) {
  std::int64_t number = 0;
  bool is_whole = value.is_integer();
  if (is_whole) number = value.as_integer();
  if (value.is_string()) {
    const std::string& text = value.as_string();
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, number);
    is_whole = !text.empty() && end == last && error == std::errc();
  }
  if (!is_whole || number < setting.min || number > setting.max)
    return needs(setting, value,
                 fmt::format("a whole number from {} to {}", setting.min, setting.max));
  field = number;
  return Done{};
}

Status assign(const Setting& setting, bool& field, const Json& value) {
  const bool is_true = value == Json(true) || value == Json("true") || value == Json("1");
  const bool is_false = value == Json(false) || value == Json("false") || value == Json("0");
  if (!is_true && !is_false) return needs(setting, value, "true or false");
  field = is_true;
  return Done{};
}

// A list in the file; elsewhere, one text with commas.
Status assign(const Setting& setting, std::vector<std::string>& field, const Json& value) {
  std::vector<std::string> items;
  if (value.is_array()) {
    for (const Json& item : value.as_array()) {
      if (!item.is_string()) return needs(setting, value, "a list of texts");
      items.push_back(item.as_string());
    }
  } else if (value.is_string()) {
    std::string_view rest = value.as_string();
    while (!rest.empty()) {
      const std::string_view item = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      if (!item.empty()) items.emplace_back(item);
    }
  } else {
    return needs(setting, value, "a list of texts");
  }
  field = std::move(items);
  return Done{};
}

// The word for a number that is the model's own to say.
constexpr std::string_view models_own = "model";

struct Share {
  double min, max;
  bool is_whole = false;
};

Status assign(const Setting& setting, std::optional<double>& field, const Json& value,
              const Share& range) {
  if (value == Json(models_own)) {
    field.reset();
    return Done{};
  }
  double number = std::nan("");
  if (value.is_number()) number = value.as_number();
  if (value.is_string()) {
    const std::string& text = value.as_string();
    const char* last = text.data() + text.size();
    if (std::from_chars(text.data(), last, number).ptr != last || text.empty())
      number = std::nan("");
  }
  if (!(number >= range.min && number <= range.max) ||
      (range.is_whole && number != std::floor(number)))
    return needs(
        setting, value,
        fmt::format("a {} from {} to {}, or `{}`: what its authors recommend",
                    range.is_whole ? "whole number" : "number", range.min, range.max, models_own));
  field = number;
  return Done{};
}

Json to_json(const std::string& value) { return value; }
Json to_json(std::int64_t value) { return value; }
Json to_json(bool value) { return value; }
Json to_json(const std::vector<std::string>& value) {
  Json list = Json::array();
  for (const std::string& item : value) list.push_back(item);
  return list;
}
Json to_json(const std::optional<double>& value) {
  if (!value) return models_own;
  if (*value == std::floor(*value)) return static_cast<std::int64_t>(*value);
  return *value;
}

// ---- The functions of a row ----

template <auto Group, auto Field>
Status set(const Setting& setting, Config& config, const Json& value) {
  return assign(setting, config.*Group.*Field, value);
}
template <auto Group, auto Field>
Json show(const Config& config) {
  return to_json(config.*Group.*Field);
}

// A span of time, kept as it was written.
template <auto Group, auto Field>
Status set_duration(const Setting& setting, Config& config, const Json& value) {
  const std::string text = value.is_number()   ? write_json(value)
                           : value.is_string() ? value.as_string()
                                               : std::string();
  if (!parse_duration(text))
    return needs(setting, value, "a span of time such as 90, 5m, 0, or -1 for ever");
  config.*Group.*Field = text;
  return Done{};
}

template <auto Group, auto Field, const auto& Choices>
Status set_word(const Setting& setting, Config& config, const Json& value) {
  for (const std::string_view word : Choices)
    if (value == Json(word)) {
      config.*Group.*Field = word;
      return Done{};
    }
  return needs(setting, value, fmt::format("one of {}", fmt::join(Words(Choices), ", ")));
}

template <auto Group, auto Field, const auto& Range>
Status set_share(const Setting& setting, Config& config, const Json& value) {
  return assign(setting, config.*Group.*Field, value, Range);
}

// What it held is not told: it may be the secret itself.
template <auto Group, auto Field>
Status set_secret(const Setting& setting, Config& config, const Json& value) {
  if (!value.is_string() || !is_secret_reference(value.as_string()))
    return Error(ErrorKind::invalid,
                 fmt::format("{}: needs {}, never the secret itself", setting.key, secret_forms));
  config.*Group.*Field = value.as_string();
  return Done{};
}

// ---- Rows ----

constexpr Setting plain_row(std::string_view key, std::string_view flag, std::string_view help,
                            decltype(Setting::set) set, decltype(Setting::show) show) {
  return {.key = key,
          .flag = flag,
          .help = help,
          .min = 0,
          .max = 0,
          .effect = Effect::restart,
          .in_projects = key.starts_with("runtime.") || key.starts_with("sampling."),
          .in_requests = true,
          .set = set,
          .show = show};
}

template <auto Group, auto Field>
constexpr Setting row(std::string_view key, std::string_view flag, std::string_view help,
                      std::int64_t min = 0, std::int64_t max = 0) {
  Setting setting = plain_row(key, flag, help, set<Group, Field>, show<Group, Field>);
  setting.min = min;
  setting.max = max;
  return setting;
}

constexpr Setting live(Setting setting) {
  setting.effect = Effect::now;
  return setting;
}
constexpr Setting of_next_model(Setting setting) {
  setting.effect = Effect::next_model;
  return setting;
}
constexpr Setting own(Setting setting) {
  setting.in_requests = false;
  return setting;
}

template <auto Group, auto Field>
constexpr Setting duration_row(std::string_view key, std::string_view flag, std::string_view help) {
  return plain_row(key, flag, help, set_duration<Group, Field>, show<Group, Field>);
}
template <auto Group, auto Field, const auto& Choices>
constexpr Setting word_row(std::string_view key, std::string_view flag, std::string_view help) {
  return plain_row(key, flag, help, set_word<Group, Field, Choices>, show<Group, Field>);
}
template <auto Field, const auto& Range>
constexpr Setting sampling_row(std::string_view key, std::string_view flag, std::string_view help) {
  return live(plain_row(key, flag, help, set_share<&Config::sampling, Field, Range>,
                        show<&Config::sampling, Field>));
}
template <auto Group, auto Field>
constexpr Setting secret_row(std::string_view key, std::string_view flag, std::string_view help) {
  return own(plain_row(key, flag, help, set_secret<Group, Field>, show<Group, Field>));
}

constexpr auto server = &Config::server;
constexpr auto runtime = &Config::runtime;
constexpr auto library = &Config::library;
constexpr auto models = &Config::models;
constexpr auto governor = &Config::governor;
constexpr auto collections = &Config::collections;
constexpr auto mcp = &Config::mcp;

constexpr auto log_levels =
    std::to_array<std::string_view>({"debug", "info", "warning", "error", "off"});
constexpr auto tiers = std::to_array<std::string_view>({"accurate", "exact", "turbo"});
constexpr auto workloads =
    std::to_array<std::string_view>({"balanced", "throughput", "latency", "efficient"});
constexpr auto kv_types =
    std::to_array<std::string_view>({"auto", "f16", "bf16", "f32", "q8_0", "q4_0"});
constexpr Share temperatures{0, 2}, top_ks{0, 1e9, true}, top_ps{0.001, 1}, min_ps{0, 1},
    penalties{0.01, 10};

constexpr Setting table[] = {
    own(row<server, &ServerConfig::host>(
        "server.host", "--host",
        "Address to listen on; one that is not loopback, such as 0.0.0.0, opens the server to the "
        "network and needs server.api_key_file.")),
    row<server, &ServerConfig::port>("server.port", "--port", "TCP port; 0: any free one.", 0,
                                     65535),
    live(row<server, &ServerConfig::queue>(
        "server.queue", "--queue", "Requests that may wait for a model; further ones get 503.", 1,
        4096)),
    own(row<server, &ServerConfig::api_key_file>(
        "server.api_key_file", "--api-key-file",
        "File of API keys (mode 0600): one key, or `sha256:` and its digest in hex, to a line.")),
    own(row<server, &ServerConfig::key_store>(
        "server.key_store", "--key-store",
        "File of the keys that `hearth keys` manages; empty: ~/.config/hearth/keys.json.")),
    own(row<server, &ServerConfig::audit_log>(
        "server.audit_log", "--audit-log",
        "File of one JSON line a request: who, what, when, tokens, status, never content; `none`: "
        "no such file; empty: where keys are needed, ~/.local/share/hearth/audit.jsonl.")),
    own(row<server, &ServerConfig::allow_origin>(
        "server.allow_origin", "--allow-origin",
        "Origins of web pages that may call the server, such as https://page.example:8443.")),
    own(row<server, &ServerConfig::allow_host>(
        "server.allow_host", "--allow-host",
        "Host names under which the server may be called, beside localhost and its addresses.")),
    own(row<server, &ServerConfig::tls_cert>("server.tls_cert", "--tls-cert",
                                             "Certificate chain (PEM); turns TLS on.")),
    own(row<server, &ServerConfig::tls_key>("server.tls_key", "--tls-key",
                                            "Private key of the certificate (PEM).")),
    row<server, &ServerConfig::max_body_bytes>("server.max_body_bytes", "--max-body-bytes",
                                               "Largest request body in bytes.", 1024, 1 << 30),
    live(word_row<server, &ServerConfig::log_level, log_levels>(
        "server.log_level", "--log-level",
        "What the server writes on standard error: `debug`, `info`, `warning`, `error` or "
        "`off`.")),
    live(row<runtime, &RuntimeConfig::threads>(
        "runtime.threads", "--threads", "Compute threads; 0: one per physical core.", 0, 1024)),
    of_next_model(row<runtime, &RuntimeConfig::context>(
        "runtime.context", "--context",
        "Tokens of context; 0: the model's own, as far as memory allows.", 0, 100'000'000)),
    of_next_model(row<runtime, &RuntimeConfig::max_context>(
        "runtime.max_context", "--max-context",
        "Tokens of context at most, where runtime.context is 0; 0: as many as the model has and "
        "memory allows.",
        0, 100'000'000)),
    of_next_model(row<runtime, &RuntimeConfig::deterministic>(
        "runtime.deterministic", "--deterministic",
        "The same bits whatever else runs, on any thread count.")),
    row<runtime, &RuntimeConfig::cpu>(
        "runtime.cpu", "--cpu",
        "Kernel table to use; empty: the best that runs here. `hearth doctor` lists them."),
    of_next_model(word_row<runtime, &RuntimeConfig::tier, tiers>(
        "runtime.tier", "--tier",
        "How closely to keep to f32: `accurate`, `exact` (slower) or `turbo` (whatever is fastest "
        "here).")),
    of_next_model(row<runtime, &RuntimeConfig::speculate>(
        "runtime.speculate", "--speculate",
        "Guess several tokens at once, from the text so far or by the layer that a model brings "
        "for "
        "it (multi-token prediction), where that pays; changes no token.")),
    of_next_model(row<runtime, &RuntimeConfig::draft>(
        "runtime.draft", "--draft",
        "A small model of the same tokens that guesses what a large one says next; changes no "
        "token. Empty: none.")),
    row<runtime, &RuntimeConfig::prefix_disk_mb>(
        "runtime.prefix_disk_mb", "--prefix-disk-mb",
        "MiB of disk where the server keeps keys and values of prompts, readable by this user "
        "alone, so that conversations go on after a restart without being read again; 0: none.",
        0, 1 << 24),
    live(word_row<runtime, &RuntimeConfig::workload, workloads>(
        "runtime.workload", "--workload",
        "What this machine is tuned for: `balanced`, `throughput` (many answers at once), "
        "`latency` (the first word soon) or `efficient` (little power).")),
    live(row<runtime, &RuntimeConfig::step_tokens>(
        "runtime.step_tokens", "--step-tokens",
        "Rows of one batch: more read prompts faster, fewer keep answers flowing meanwhile.", 16,
        8192)),
    live(row<runtime, &RuntimeConfig::parallel>("runtime.parallel", "--parallel",
                                                "Answers of one model that are computed together.",
                                                1, 4096)),
    of_next_model(word_row<runtime, &RuntimeConfig::kv_type, kv_types>(
        "runtime.kv_type", "--kv-type",
        "Keys and values in memory: `f16`, `bf16`, `f32`, `q8_0` (half of f16, twice the context), "
        "`q4_0` (a quarter, answers change) or `auto`: f32 for weights in f32, else f16.")),
    sampling_row<&SamplingConfig::temperature, temperatures>(
        "sampling.temperature", "--temperature",
        "Where a request does not say: 0 always takes the likeliest token."),
    sampling_row<&SamplingConfig::top_k, top_ks>(
        "sampling.top_k", "--top-k", "Where a request does not say: choose among so many; 0: all."),
    sampling_row<&SamplingConfig::top_p, top_ps>(
        "sampling.top_p", "--top-p",
        "Where a request does not say: choose among the likeliest that make up this probability."),
    sampling_row<&SamplingConfig::min_p, min_ps>(
        "sampling.min_p", "--min-p",
        "Where a request does not say: leave out what is less likely than this share of the "
        "likeliest."),
    sampling_row<&SamplingConfig::repetition_penalty, penalties>(
        "sampling.repetition_penalty", "--repetition-penalty",
        "Where a request does not say: divide the logits of recent tokens; 1: off."),
    own(row<library, &LibraryConfig::folders>("library.folders", "--folders",
                                              "Folders with models of yours, beside those of other "
                                              "programs that are found by themselves.")),
    row<library, &LibraryConfig::offline>(
        "library.offline", "--offline",
        "Fetch nothing from the network; HF_HUB_OFFLINE=1 says the same."),
    own(row<library, &LibraryConfig::hub>(
        "library.hub", "--hub",
        "Address of the Hugging Face hub or a mirror of it; empty: HF_ENDPOINT, or "
        "https://huggingface.co.")),
    own(row<library, &LibraryConfig::ollama>(
        "library.ollama", "--ollama-registry",
        "Address of the registry behind ollama: names; empty: https://registry.ollama.ai.")),
    row<library, &LibraryConfig::stall_seconds>(
        "library.stall_seconds", "--stall-seconds",
        "A download slower than 1 KB/s for so long is tried again.", 1, 3600),
    own(row<library, &LibraryConfig::mirrors>(
        "library.mirrors", "--mirrors",
        "Addresses of mirrors of the hub, tried in turn when it does not answer; they are given no "
        "token, and what they send is held to the hub's checksums where it told them.")),
    row<library, &LibraryConfig::connections>(
        "library.connections", "--connections",
        "Connections over which one large file is fetched, in stretches of 64 MiB.", 1, 16),
    row<library, &LibraryConfig::max_kb_per_second>(
        "library.max_kb_per_second", "--max-kb-per-second",
        "KiB per second that all downloads of a process keep to together; 0: no limit.", 0,
        1 << 30),
    secret_row<library, &LibraryConfig::token>(
        "library.token", "--hub-token",
        "Token for the Hugging Face hub, as env:NAME, file:PATH (mode 0600) or keyring:NAME; "
        "empty: HF_TOKEN, or what `hf auth login` wrote."),
    live(row<models, &ModelsConfig::standard>(
        "models.default", "--default-model",
        "The model for `hearth chat` and for requests that name none; empty: `hearth chat` takes "
        "the best one here, the server the built-in one. `hearth use` sets it.")),
    live(duration_row<models, &ModelsConfig::keep_alive>(
        "models.keep_alive", "--keep-alive",
        "How long the server keeps a model in memory after its last use: 90 (seconds), 5m, 1h30m; "
        "0: not at all; -1: until its memory is needed.")),
    live(row<models, &ModelsConfig::max_loaded>("models.max_loaded", "--max-loaded",
                                                "Models in memory at once; 0: as many as fit.", 0,
                                                1000)),
    live(row<models, &ModelsConfig::memory_mb>(
        "models.memory_mb", "--memory-mb",
        "MiB that models in memory may take together; 0: whatever is free.", 0, 1 << 30)),
    live(row<models, &ModelsConfig::min_free_mb>(
        "models.min_free_mb", "--min-free-mb",
        "MiB of memory that models leave free; where less is, idle ones are unloaded.", 0,
        1 << 30)),
    row<models, &ModelsConfig::preferred>(
        "models.preferred", "--preferred-model",
        "The model of the catalog that `hearth init` and a first `hearth chat` propose; empty: "
        "the one that suits this machine."),
    row<models, &ModelsConfig::quantisation>(
        "models.quantisation", "--quantisation",
        "The one to download where a reference names none, such as Q4_K_M; empty: Q4_K_M, or "
        "what is nearest to it."),
    live(row<governor, &GovernorConfig::enabled>(
        "governor.enabled", "--governor",
        "Use fewer threads, smaller batches and less memory while the machine is hot, on a low "
        "battery, short of memory or busy with other work.")),
    live(row<governor, &GovernorConfig::hot_celsius>("governor.hot_celsius", "--hot-celsius",
                                                     "A processor of so many degrees is too hot.",
                                                     40, 120)),
    live(row<governor, &GovernorConfig::battery_percent>(
        "governor.battery_percent", "--battery-percent",
        "A battery of so much or less is saved; 0: none is.", 0, 100)),
    live(row<governor, &GovernorConfig::memory_pressure>(
        "governor.memory_pressure", "--memory-pressure",
        "Percent of the time that tasks wait for memory, from which models give some back.", 1,
        100)),
    own(row<collections, &CollectionsConfig::folder>(
        "collections.folder", "--collections",
        "Folder of the collections; empty: ~/.local/share/hearth/collections.")),
    row<collections, &CollectionsConfig::relaxed>(
        "collections.relaxed", "--relaxed",
        "A write does not wait for the disk: a loss of power may lose what was written in the last "
        "second, a crash of the program nothing."),
    row<collections, &CollectionsConfig::hot_mb>(
        "collections.hot_mb", "--hot-mb",
        "Of each collection: the documents used most are kept in memory up to so many MiB.", 0,
        1 << 24),
    row<collections, &CollectionsConfig::warm_mb>("collections.warm_mb", "--warm-mb",
                                                  "Of each collection: so many MiB of documents "
                                                  "stay in mapped files; those beyond, the least "
                                                  "used, go to a database that is read one by one.",
                                                  1, 1 << 30),
    own(row<mcp, &McpConfig::config>(
        "mcp.config", "--mcp-config",
        "JSON file with \"mcpServers\", as other clients keep one, whose tools models may use; "
        "empty: ~/.config/hearth/mcp.json.")),
};

}  // namespace

std::span<const Setting> settings() { return table; }

}  // namespace hearth
