// Whether adapters fit a model, before either is loaded.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "library/folders.h"

namespace hearth {

// That they can be read and fit a model of this machine, told from their headers.
// paths: as open_lora.  Errors: as Adapters::read, and those of open_reference.
Status check_adapters(const std::string& reference, const std::vector<std::string>& paths,
                      const LibraryFolders& folders);

}  // namespace hearth
