// The ExecuTorch importer: a .pte file becomes a Program.
#pragma once

#include <memory>
#include <string>

#include "base/files.h"
#include "graphs/graph.h"

namespace hearth::graphs {

// One method of the program: `method`, or "forward", or the first one with inputs.  folder: where
// .ptd files with tensors of the program lie; "": there are none.  Buffers that a method changes
// are inputs that begin as the file says, and outputs of the same names.
// Errors: corrupt, not_found (the method), unsupported (operators and delegates that are not known,
// by name), exhausted.
Result<Program> import_executorch(std::shared_ptr<const MappedFile> file, const std::string& folder,
                                  const std::string& method = "");
bool looks_like_executorch(std::span<const std::byte> bytes);

}  // namespace hearth::graphs
