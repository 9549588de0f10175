// Vision towers of GGUF models, which lie in files of their own ("mmproj").
#pragma once

#include <string>

#include "base/result.h"
#include "formats/package.h"

namespace hearth {

// Whether a file's name says that it holds a tower and no language model.
bool is_tower_file(std::string_view name);

// Gives a GGUF model its tower: the file `wished`, or the one beside the model that fits it.
// Errors: those of open_package, and unsupported, for `wished` alone: what lies beside a model by
// chance is its own affair.
Status attach_tower(Package& package, const std::string& wished = "");

}  // namespace hearth
