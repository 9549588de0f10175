#include "cli/settings.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/files.h"
#include "config/file_edit.h"
#include "hardware/memory.h"
#include "hardware/system_files.h"
#include "server/manage/optimize.h"

namespace hearth::cli {
namespace {

// What the option takes, for help: nothing for a switch.
std::string_view placeholder(const Setting& setting) {
  const Json value = setting.show(Config{});
  if (value.is_bool()) return value.as_bool() ? "true|false" : "";
  return value.is_integer() ? "N" : "TEXT";
}

}  // namespace

std::vector<Option> setting_options(std::string_view prefix) {
  std::vector<Option> options;
  for (const Setting& setting : settings())
    if (setting.key.starts_with(prefix))
      options.push_back(
          {setting.flag, placeholder(setting), setting.help, setting.show(Config{}).is_array()});
  return options;
}

std::string setting_text(const Json& value) {
  return value.is_string() ? value.as_string() : toml_text(value);
}

ConfigSources sources_of(const Arguments& arguments) {
  ConfigSources sources = standard_sources();
  for (const Setting& setting : settings()) {
    if (!arguments.has(setting.flag)) continue;
    std::string value;
    for (const std::string& given : arguments.all(setting.flag))
      value += (value.empty() ? "" : ",") + given;
    if (placeholder(setting).empty()) value = "true";
    sources.flags.emplace_back(setting.key, value);
  }
  return sources;
}

ConfigSources tuned_sources_of(const Arguments& arguments) {
  ConfigSources sources = sources_of(arguments);
  sources.automatic = server::automatic_values;
  return sources;
}

ConfigFacts machine_facts() {
  const hardware::Memory memory = hardware::read_memory(hardware::machine_root());
  return read_config_facts(memory.limit_bytes > 0 ? memory.limit_bytes : memory.total_bytes);
}

Status write_settings(const ConfigFile& file, const std::string& text) {
  ConfigSources sources = standard_sources();
  const auto same = std::ranges::find(sources.files, file.path, &ConfigFile::path);
  ConfigFile changed{file.layer, file.path, text};
  if (same != sources.files.end())
    *same = std::move(changed);
  else
    sources.files.push_back(std::move(changed));
  TRY(load_config(sources));
  return replace_file(file.path, bytes_of(text));
}

Result<LoadedConfig> read_layers(const Arguments& arguments) {
  return load_config(sources_of(arguments));
}

Result<Config> read_config(const Arguments& arguments) {
  return TRY(read_layers(arguments)).config;
}

Result<Config> read_tuned_config(const Arguments& arguments) {
  return TRY(load_config(tuned_sources_of(arguments))).config;
}

}  // namespace hearth::cli
