// Architectures that a person describes in files of their own.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::cli {

// Where they lie: `architectures` beside the settings file.
std::string architectures_folder();

// Makes those of a folder known: files that end in .toml, .json, .yaml or .yml, by name.  One that
// is wrong is left out; the result says of each what is wrong with it.
std::vector<Error> read_architectures(const std::string& folder);

}  // namespace hearth::cli
