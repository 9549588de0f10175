#include "cli/settings.h"

namespace hearth::cli {
namespace {

// What the option takes, for help: nothing for a switch.
std::string_view placeholder(const Setting& setting) {
  const Json value = setting.show(Config{});
  if (value.is_bool()) return "";
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

Result<LoadedConfig> read_layers(const Arguments& arguments) {
  ConfigSources sources = standard_sources();
  for (const Setting& setting : settings()) {
    if (!arguments.has(setting.flag)) continue;
    std::string value;
    for (const std::string& given : arguments.all(setting.flag))
      value += (value.empty() ? "" : ",") + given;
    if (placeholder(setting).empty()) value = "true";
    sources.flags.emplace_back(setting.key, value);
  }
  return load_config(sources);
}

Result<Config> read_config(const Arguments& arguments) {
  return TRY(read_layers(arguments)).config;
}

}  // namespace hearth::cli
