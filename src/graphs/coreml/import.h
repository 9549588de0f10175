// The Core ML importer: a model file or package becomes a Program.
#pragma once

#include <memory>
#include <string>

#include "base/files.h"
#include "graphs/graph.h"

namespace hearth::graphs {

// Half precision is computed in single precision; compressed weights are written out.  Images are
// given as RGB or grey values of 0..255 [1, channels, height, width], whatever order the model
// works in, and come out as bytes [height, width, 3] or [height, width].  A state is an input that
// begins as zeros and an output of the same name: what comes out goes in again. folder: where
// weight files may lie; empty: nowhere. Errors: corrupt (with the place), unsupported (kinds,
// operators and layers that are not known, by name), exhausted (a limit).
Result<Program> import_coreml(std::shared_ptr<const MappedFile> file, const std::string& folder);
// One weight file for all that the model names.
Result<Program> import_coreml(std::shared_ptr<const MappedFile> file,
                              std::shared_ptr<const MappedFile> weights);
// A folder: .mlpackage is read; compiled models (.mlmodelc) are refused with what they need.
Result<Program> import_coreml_package(const std::string& path);

bool looks_like_coreml(std::span<const std::byte> bytes);
bool is_coreml_package(const std::string& path);

}  // namespace hearth::graphs
