#include "config/config.h"

#include <fmt/core.h>

#include <cstdlib>

#include "base/files.h"
#include "base/nearest.h"
#include "base/utf8.h"
#include "config/toml_file.h"

extern char** environ;

namespace hearth {
namespace {

constexpr std::uint64_t max_file_bytes = 1 << 20;  // far above any real settings file

Error unknown(std::string_view key) {
  std::vector<std::string_view> keys;
  for (const Setting& setting : settings()) keys.push_back(setting.key);
  return Error(ErrorKind::invalid, fmt::format("no setting '{}'; did you mean '{}'?",
                                               printable(key), nearest(key, keys)));
}

Status apply(LoadedConfig& loaded, std::string_view key, const Json& value, std::string place) {
  const Setting* setting = find_setting(key);
  Status status = setting ? setting->set(*setting, loaded.config, value) : unknown(key);
  if (!status) return std::move(status).error().within(place);
  loaded.origins[std::string(key)] = std::move(place);
  return Done{};
}

Status apply_file(LoadedConfig& loaded, const std::string& path) {
  if (path.empty() || !is_file(path)) return Done{};
  const std::string text = TRY(read_file(path, max_file_bytes));
  auto values = parse_toml(text);
  if (!values) return std::move(values).error().within(path);
  for (const FileValue& value : *values)
    TRY(apply(loaded, value.key, value.value, fmt::format("{}:{}", path, value.line)));
  return Done{};
}

// A name in a group of settings that is none of them is a spelling error; other HEARTH_ names, such
// as those of the tests, are not ours to judge.
Status apply_variable(LoadedConfig& loaded, const std::string& name, const std::string& value) {
  for (const Setting& setting : settings())
    if (setting.variable() == name) return apply(loaded, setting.key, value, name);
  if (!name.starts_with("HEARTH_SERVER_") && !name.starts_with("HEARTH_RUNTIME_") &&
      !name.starts_with("HEARTH_COLLECTIONS_"))
    return Done{};
  std::vector<std::string> names;
  for (const Setting& setting : settings()) names.push_back(setting.variable());
  const std::vector<std::string_view> views(names.begin(), names.end());
  return Error(ErrorKind::invalid, fmt::format("no setting for the variable '{}'; did you mean {}?",
                                               printable(name), nearest(name, views)));
}

}  // namespace

std::string Setting::variable() const {
  std::string name = "HEARTH_";
  for (const char c : key)
    name += c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

std::string collections_folder(const Config& config) {
  if (!config.collections.folder.empty()) return config.collections.folder;
  constexpr const char* own = "hearth/collections";
  if (const char* data = std::getenv("XDG_DATA_HOME"); data && *data) return join_path(data, own);
  const char* home = std::getenv("HOME");
  return join_path(join_path(home && *home ? home : ".", ".local/share"), own);
}

const Setting* find_setting(std::string_view key) {
  for (const Setting& setting : settings())
    if (setting.key == key) return &setting;
  return nullptr;
}

ConfigSources standard_sources() {
  ConfigSources sources;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || !text.starts_with("HEARTH_")) continue;
    sources.environment.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  const char* xdg = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  if (xdg && xdg[0] == '/')
    sources.file = join_path(xdg, "hearth/config.toml");
  else if (home && *home)
    sources.file = join_path(home, ".config/hearth/config.toml");
  return sources;
}

Result<LoadedConfig> load_config(const ConfigSources& sources) {
  LoadedConfig loaded;
  for (const Setting& setting : settings()) loaded.origins[std::string(setting.key)] = "default";
  TRY(apply_file(loaded, sources.file));
  for (const auto& [name, value] : sources.environment) TRY(apply_variable(loaded, name, value));
  for (const auto& [key, value] : sources.flags) {
    const Setting* setting = find_setting(key);
    TRY(apply(loaded, key, value, setting ? std::string(setting->flag) : "command line"));
  }
  return loaded;
}

std::string settings_reference() {
  std::string page =
      "# Settings\n\n"
      "A value comes from the last of these that names it: its default, the settings file\n"
      "(`~/.config/hearth/config.toml`, or `$XDG_CONFIG_HOME/hearth/config.toml`), the "
      "environment,\n"
      "the command line. In the file a setting stands in its table: `server.port` is `port` under\n"
      "`[server]`. A list is an array in the file, and one text with commas elsewhere.\n\n"
      "| setting | variable | flag | default | meaning |\n|---|---|---|---|---|\n";
  const Config standard;
  for (const Setting& setting : settings()) {
    const std::string range =
        setting.max > setting.min ? fmt::format(" From {} to {}.", setting.min, setting.max) : "";
    page += fmt::format("| `{}` | `{}` | `{}` | `{}` | {}{} |\n", setting.key, setting.variable(),
                        setting.flag, write_json(setting.show(standard)), setting.help, range);
  }
  return page;
}

}  // namespace hearth
