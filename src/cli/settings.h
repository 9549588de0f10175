// Settings as options of commands: the rows of config/settings.cpp are the one source.
#pragma once

#include <string_view>
#include <vector>

#include "cli/command.h"
#include "config/config.h"

namespace hearth::cli {

// An option for every setting whose key begins with `prefix`: "server.", "runtime.".
std::vector<Option> setting_options(std::string_view prefix);

// All layers, the given options on top.  Errors name the place.
Result<LoadedConfig> read_layers(const Arguments& arguments);
// What they come to.
Result<Config> read_config(const Arguments& arguments);

}  // namespace hearth::cli
