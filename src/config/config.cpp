#include "config/config.h"

#include <fmt/core.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>

#include "base/ascii.h"
#include "base/files.h"
#include "base/nearest.h"
#include "base/user_folders.h"
#include "base/utf8.h"
#include "config/checks.h"
#include "config/file_values.h"

extern char** environ;

namespace hearth {
namespace {

Status apply(LoadedConfig& loaded, Layer layer, std::string_view key, const Json& value,
             std::string place) {
  const auto found = find_setting(key);
  if (!found) return Error(found.error()).within(place);
  const Setting* setting = *found;
  const bool is_projects = layer == Layer::project_file;
  if ((is_projects && !setting->in_projects) || (layer == Layer::request && !setting->in_requests))
    return Error(ErrorKind::invalid,
                 fmt::format("{}: {} may not be set by a {}; set it in your own file: hearth "
                             "config set {} VALUE",
                             place, key, is_projects ? "project" : "request", key));
  Status status = setting->set(*setting, loaded.config, value);
  if (!status) return std::move(status).error().within(place);
  loaded.given[std::string(key)].push_back({layer, std::move(place), setting->show(loaded.config)});
  return Done{};
}

Status apply_file(LoadedConfig& loaded, const ConfigFile& file) {
  if (!file.text && !is_file(file.path)) return Done{};
  std::map<std::string, unsigned, std::less<>> lines;
  const auto values =
      file.text ? parse_settings(file.path, *file.text) : read_settings_file(file.path);
  for (const FileValue& value : TRY(values)) {
    std::string place = fmt::format("{}:{}", file.path, value.line);
    const auto [first, is_new] = lines.try_emplace(value.key, value.line);
    if (!is_new)
      return Error(ErrorKind::invalid, fmt::format("{}: {} was set in line {} already", place,
                                                   printable(value.key), first->second));
    TRY(apply(loaded, file.layer, value.key, value.value, std::move(place)));
  }
  return Done{};
}

// Below all layers but the defaults, whatever has been applied before.
Status apply_automatic(LoadedConfig& loaded, const std::vector<AutomaticValue>& values) {
  for (const AutomaticValue& value : values) {
    const Setting* setting = TRY(find_setting(value.key));
    std::vector<GivenValue>& given = loaded.given[value.key];
    Config scratch = loaded.config;
    const bool counts = given.size() == 1;
    TRY(setting->set(*setting, counts ? loaded.config : scratch, value.value));
    given.insert(given.begin() + 1,
                 {Layer::automatic, "this machine", setting->show(counts ? loaded.config : scratch),
                  value.reason});
  }
  return Done{};
}

// A name in a group of settings that is none of them is a spelling error; other HEARTH_ names, such
// as those of the tests, are not ours to judge.
Status apply_variable(LoadedConfig& loaded, const std::string& name, const std::string& value) {
  std::vector<std::string> names;
  bool is_ours = false;
  for (const Setting& setting : settings()) {
    names.push_back(setting.variable());
    if (names.back() == name) return apply(loaded, Layer::environment, setting.key, value, name);
    const std::size_t group = std::string_view("HEARTH_").size() + setting.key.find('.') + 1;
    is_ours = is_ours || name.starts_with(std::string_view(names.back()).substr(0, group));
  }
  if (!is_ours) return Done{};
  const std::vector<std::string_view> views(names.begin(), names.end());
  return Error(ErrorKind::invalid, fmt::format("no setting for the variable '{}'; did you mean {}?",
                                               printable(name), nearest(name, views)));
}

std::string project_file() {
  char here[PATH_MAX];
  if (!::getcwd(here, sizeof here)) return "";
  for (std::string folder = here;; folder = parent_folder(folder)) {
    std::string path = join_path(folder, ".hearth.toml");
    if (is_file(path)) return path;
    if (folder == "/" || folder == ".") return "";
  }
}

std::vector<ConfigFile> standard_files() {
  std::vector<ConfigFile> files = {{Layer::system_file, "/etc/hearth/config.toml"}};
  files.push_back({Layer::user_file, user_settings_file()});
  if (std::string path = project_file(); !path.empty())
    files.push_back({Layer::project_file, path});
  return files;
}

}  // namespace

std::string_view name_of(Layer layer) {
  constexpr std::string_view names[] = {"default", "auto",        "system", "user",
                                        "project", "environment", "flag",   "request"};
  return names[static_cast<std::size_t>(layer)];
}

std::string_view name_of(Effect effect) {
  constexpr std::string_view names[] = {"at once", "with the next model", "after a restart"};
  return names[static_cast<std::size_t>(effect)];
}

Json to_json(const GivenValue& given) {
  Json json = Json::object(
      {{"value", given.value}, {"layer", name_of(given.layer)}, {"place", given.place}});
  if (!given.reason.empty()) json.set("reason", given.reason);
  return json;
}

std::string Setting::variable() const {
  std::string name = "HEARTH_";
  for (const char c : key) name += c == '.' ? '_' : ascii_upper(c);
  return name;
}

std::string collections_folder(const Config& config) {
  return config.collections.folder.empty() ? in_user_folder(UserFolder::data, "hearth/collections")
                                           : config.collections.folder;
}

std::string key_store_path(const Config& config) {
  return config.server.key_store.empty() ? in_user_folder(UserFolder::config, "hearth/keys.json")
                                         : config.server.key_store;
}

std::string mcp_config_path(const Config& config) {
  return config.mcp.config.empty() ? in_user_folder(UserFolder::config, "hearth/mcp.json")
                                   : config.mcp.config;
}

std::string key_usage_path() { return in_user_folder(UserFolder::data, "hearth/key_usage.json"); }

std::string audit_log_path(const Config& config) {
  const std::string& path = config.server.audit_log;
  return path == "none" ? ""
         : path.empty() ? in_user_folder(UserFolder::data, "hearth/audit.jsonl")
                        : path;
}

Result<const Setting*> find_setting(std::string_view key) {
  std::vector<std::string_view> keys;
  for (const Setting& setting : settings()) {
    if (setting.key == key) return &setting;
    keys.push_back(setting.key);
  }
  return Error(ErrorKind::invalid, fmt::format("no setting '{}'; did you mean '{}'?",
                                               printable(key), nearest(key, keys)));
}

// The one that is there, or else the one that `hearth config set` will make.
std::string user_settings_file() {
  const std::string folder = in_user_folder(UserFolder::config, "hearth");
  for (const std::string_view ending : {"toml", "yaml", "yml", "json"})
    if (std::string path = join_path(folder, fmt::format("config.{}", ending)); is_file(path))
      return path;
  return join_path(folder, "config.toml");
}

ConfigSources standard_sources() {
  ConfigSources sources;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || !text.starts_with("HEARTH_")) continue;
    sources.environment.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  sources.files = standard_files();
  return sources;
}

Result<LoadedConfig> load_config(const ConfigSources& sources) {
  LoadedConfig loaded;
  for (const Setting& setting : settings())
    loaded.given[std::string(setting.key)].push_back(
        {Layer::standard, "default", setting.show(loaded.config)});
  for (const ConfigFile& file : sources.files) TRY(apply_file(loaded, file));
  for (const auto& [name, value] : sources.environment) TRY(apply_variable(loaded, name, value));
  for (const auto& [key, value] : sources.flags) {
    const auto setting = find_setting(key);
    TRY(apply(loaded, Layer::flag, key, value,
              setting ? std::string((*setting)->flag) : "command line"));
  }
  for (const auto& [key, value] : sources.requests)
    TRY(apply(loaded, Layer::request, key, value, "PATCH /api/config"));
  if (sources.automatic) TRY(apply_automatic(loaded, sources.automatic(loaded.config)));
  TRY(check_config(loaded.config));
  return loaded;
}

std::string settings_reference() {
  std::string page =
      "# Settings\n\n"
      "A value comes from the last of these that names it: its default; what suits the machine;\n"
      "the system's file (`/etc/hearth/config.toml`); your file (`config.toml` in\n"
      "`~/.config/hearth` or `$XDG_CONFIG_HOME/hearth`; `config.yaml` and `config.json` serve as\n"
      "well); the project's file (`.hearth.toml` in the working folder or the nearest one above\n"
      "it); the environment; the command line; a request to the running server. `hearth config\n"
      "show` says which it was. In a file a setting stands in its table: `server.port` is `port`\n"
      "under `[server]`. A list is an array in the file, and one text with commas elsewhere. A\n"
      "project's file comes with other people's work, so it may set `runtime.` and `sampling.`\n"
      "settings alone. The last column says when a change reaches a running server; a star marks\n"
      "what requests may not change.\n\n"
      "| setting | variable | flag | default | meaning | changes |\n|---|---|---|---|---|---|\n";
  const Config standard;
  for (const Setting& setting : settings()) {
    const std::string range =
        setting.max > setting.min ? fmt::format(" From {} to {}.", setting.min, setting.max) : "";
    page +=
        fmt::format("| `{}` | `{}` | `{}` | `{}` | {}{} | {}{} |\n", setting.key,
                    setting.variable(), setting.flag, write_json(setting.show(standard)),
                    setting.help, range, name_of(setting.effect), setting.in_requests ? "" : " *");
  }
  return page;
}

}  // namespace hearth
