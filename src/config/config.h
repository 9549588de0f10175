// Config: what a person may set, each value from the last layer that names it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hearth {

struct ServerConfig {
  std::string host = "127.0.0.1";
  std::int64_t port = 11500;
  std::int64_t queue = 512;
  std::string api_key_file, key_store, audit_log;
  std::vector<std::string> allow_origin, allow_host;
  std::string tls_cert, tls_key;
  std::int64_t max_body_bytes = 64 << 20;
  std::string log_level = "warning";
};

struct RuntimeConfig {
  std::int64_t threads = 0;
  std::int64_t context = 0, max_context = 0;
  bool deterministic = false;
  std::string cpu;
  std::string tier = "accurate";
  bool speculate = true;
  std::string draft;
  std::int64_t prefix_disk_mb = 2048;
  std::string workload = "balanced";
  std::int64_t step_tokens = 256, parallel = 256;
  std::string kv_type = "auto";
};

// How tokens are drawn where a request does not say; nothing: as the model's authors recommend.
struct SamplingConfig {
  std::optional<double> temperature, top_k, top_p, min_p, repetition_penalty;
};

struct LibraryConfig {
  std::vector<std::string> folders;
  bool offline = false;
  std::string hub, ollama;
  std::string token;  // a reference: secrets.h
  std::int64_t stall_seconds = 30;
  std::vector<std::string> mirrors;
  std::int64_t max_kb_per_second = 0;
  std::int64_t connections = 3;
};

struct ModelsConfig {
  std::string standard;  // empty: the built-in one
  std::string keep_alive = "5m";
  std::int64_t max_loaded = 0;
  std::int64_t memory_mb = 0, min_free_mb = 500;
  std::string preferred, quantisation;
};

// What makes the governor ask for less.
struct GovernorConfig {
  bool enabled = true;
  std::int64_t hot_celsius = 95, battery_percent = 20, memory_pressure = 10;
};

struct CollectionsConfig {
  std::string folder;  // empty: the standard one
  bool relaxed = false;
  std::int64_t hot_mb = 1024, warm_mb = 10'240;  // of each collection
};

struct McpConfig {
  std::string config;  // empty: the standard file, if there is one
};

struct Config {
  ServerConfig server;
  RuntimeConfig runtime;
  SamplingConfig sampling;
  LibraryConfig library;
  ModelsConfig models;
  GovernorConfig governor;
  CollectionsConfig collections;
  McpConfig mcp;
};

// Where collections of documents are: the setting, or $XDG_DATA_HOME/hearth/collections, or
// ~/.local/share/hearth/collections.
std::string collections_folder(const Config& config);

// Where keys that `hearth keys` makes are: the setting, or keys.json in the folder of the user's
// settings.  What they used and who asked what: below the folder of the user's data.
std::string key_store_path(const Config& config);
std::string key_usage_path();
// The file that names servers of the Model Context Protocol: the setting, or mcp.json in the folder
// of the user's settings.
std::string mcp_config_path(const Config& config);
// The setting; empty where it says `none`.
std::string audit_log_path(const Config& config);

// Who names a value; later ones win.  `request`: PATCH /api/config, for this process alone.
enum class Layer {
  standard,
  automatic,
  system_file,
  user_file,
  project_file,
  environment,
  flag,
  request
};
std::string_view name_of(Layer layer);  // "default", "auto", "system", "user", "project", ...

// When a change reaches a running server.
enum class Effect { now, next_model, restart };
std::string_view name_of(Effect effect);  // "at once", "with the next model", "after a restart"

// One row makes the file key, the variable, the flag, the help and the reference page.
struct Setting {
  std::string_view key;   // "server.port"
  std::string_view flag;  // "--port"
  std::string_view help;
  std::int64_t min, max;  // of whole numbers
  Effect effect;
  // A project's file comes with other people's work: it may not open ports or name keys.
  bool in_projects;
  // Nor may a request, which any program that reaches the server can make.
  bool in_requests;
  // `value`: as the file gave it, or text.  Errors: invalid, saying what it needs.
  Status (*set)(const Setting& setting, Config& config, const Json& value);
  Json (*show)(const Config& config);

  std::string variable() const;  // "HEARTH_SERVER_PORT"
};
std::span<const Setting> settings();
// Errors: invalid, with the nearest right name.
Result<const Setting*> find_setting(std::string_view key);

// Where values may come from.
struct ConfigFile {
  Layer layer;
  std::string path;                      // passed over where there is no such file
  std::optional<std::string> text = {};  // held instead of what the file holds
};
// What suits this machine, and why.
struct AutomaticValue {
  std::string key;
  Json value;
  std::string reason;
};
struct ConfigSources {
  std::vector<ConfigFile> files = {};                                 // later ones win
  std::vector<std::pair<std::string, std::string>> environment = {};  // name, value
  std::vector<std::pair<std::string, std::string>> flags = {};        // setting's key, value
  std::vector<std::pair<std::string, Json>> requests = {};            // likewise
  // For what no other layer names, by what the others say; empty: none.
  std::function<std::vector<AutomaticValue>(const Config& config)> automatic = {};
};
// This process: /etc/hearth/config.toml; config.toml (or .yaml, .yml, .json) in
// $XDG_CONFIG_HOME/hearth or ~/.config/hearth; .hearth.toml of the working folder or the nearest
// one above it; the environment.
ConfigSources standard_sources();
// The user's own among them, which need not exist yet; "": there is no folder for it.
std::string user_settings_file();

// A value that a layer gave, in the type of its setting.
struct GivenValue {
  Layer layer;
  std::string place;  // "/home/ada/.config/hearth/config.toml:3", "HEARTH_SERVER_PORT", "--port"
  Json value;
  std::string reason = {};  // of the automatic layer
};

Json to_json(const GivenValue& given);  // {"value": ..., "layer": ..., "place": ...}

struct LoadedConfig {
  Config config;
  // Key -> all that was given, the one that counts last; the default comes first.
  std::map<std::string, std::vector<GivenValue>, std::less<>> given;
};
// Errors: invalid, naming the place, the setting, what it held and what it needs; for an unknown
// setting, the nearest one; and those of check_config.
Result<LoadedConfig> load_config(const ConfigSources& sources);

// docs/reference/settings.md.
std::string settings_reference();

}  // namespace hearth
