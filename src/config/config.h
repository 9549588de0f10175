// Config: what a person may set, each value from the last layer that names it: default, file,
// environment, command line.
#pragma once

#include <cstdint>
#include <map>
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
  std::string api_key_file;
  std::vector<std::string> allow_origin, allow_host;
  std::string tls_cert, tls_key;
  std::int64_t max_body_bytes = 64 << 20;
};

struct RuntimeConfig {
  std::int64_t threads = 0;
  std::int64_t context = 0;
  bool deterministic = false;
  std::string cpu;
};

struct CollectionsConfig {
  std::string folder;  // empty: the standard one
  bool relaxed = false;
};

struct Config {
  ServerConfig server;
  RuntimeConfig runtime;
  CollectionsConfig collections;
};

// Where collections of documents are: the setting, or $XDG_DATA_HOME/hearth/collections, or
// ~/.local/share/hearth/collections.
std::string collections_folder(const Config& config);

// One row makes the file key, the variable, the flag, the help and the reference page.
struct Setting {
  std::string_view key;   // "server.port"
  std::string_view flag;  // "--port"
  std::string_view help;
  std::int64_t min, max;  // of whole numbers
  // `value`: as the file gave it, or text.  Errors: invalid, saying what it needs.
  Status (*set)(const Setting& setting, Config& config, const Json& value);
  Json (*show)(const Config& config);

  std::string variable() const;  // "HEARTH_SERVER_PORT"
};
std::span<const Setting> settings();
const Setting* find_setting(std::string_view key);  // nullptr: there is none

// Where values may come from.
struct ConfigSources {
  std::string file;                                              // read if it exists; empty: none
  std::vector<std::pair<std::string, std::string>> environment;  // name, value
  std::vector<std::pair<std::string, std::string>> flags;        // setting's key, value
};
// This process: $XDG_CONFIG_HOME/hearth/config.toml or ~/.config/hearth/config.toml, and its
// environment.
ConfigSources standard_sources();

struct LoadedConfig {
  Config config;
  std::map<std::string, std::string, std::less<>>
      origins;  // key -> "default", "config.toml:3", ...
};
// Errors: invalid, naming the place, the setting, what it held and what it needs; for an unknown
// setting, the nearest one.
Result<LoadedConfig> load_config(const ConfigSources& sources);

// docs/reference/settings.md.
std::string settings_reference();

}  // namespace hearth
