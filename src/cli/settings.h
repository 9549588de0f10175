// Settings as options of commands: the rows of config/settings.cpp are the one source.
#pragma once

#include <string_view>
#include <vector>

#include "cli/command.h"
#include "config/checks.h"
#include "config/config.h"

namespace hearth::cli {

// An option for every setting whose key begins with `prefix`: "server.", "runtime.".
std::vector<Option> setting_options(std::string_view prefix);

// As people write it: text without quotes.
std::string setting_text(const Json& value);

// All layers, the given options on top.  Errors name the place.
Result<LoadedConfig> read_layers(const Arguments& arguments);
// What they come to.
Result<Config> read_config(const Arguments& arguments);

// Where the settings of this call come from: files, environment and options.
ConfigSources sources_of(const Arguments& arguments);
// The same, and what suits this machine where they say nothing.
ConfigSources tuned_sources_of(const Arguments& arguments);
Result<Config> read_tuned_config(const Arguments& arguments);

// What settings are held against, of this machine.
ConfigFacts machine_facts();

// The file takes the text, which is TOML, if all settings together still load with it.
Status write_settings(const ConfigFile& file, const std::string& text);

}  // namespace hearth::cli
