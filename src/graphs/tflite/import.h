// The TFLite importer: a file becomes a Program.
#pragma once

#include <memory>

#include "base/files.h"
#include "graphs/graph.h"

namespace hearth::graphs {

// Quantised tensors keep their integers between operators; within one, arithmetic is done on the
// real numbers they stand for, and the result is rounded to its scale again.
// Errors: corrupt, unsupported (operators that are not known, by name), exhausted.
Result<Program> import_tflite(std::shared_ptr<const MappedFile> file);
bool looks_like_tflite(std::span<const std::byte> bytes);

}  // namespace hearth::graphs
