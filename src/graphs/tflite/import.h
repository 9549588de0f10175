// The TFLite importer: a file becomes a Program.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "graphs/graph.h"

namespace hearth::graphs {

// Quantised tensors keep their integers between operators; within one, arithmetic is done on the
// real numbers they stand for, and the result is rounded to its scale again.
// method: the key of a signature, whose names the inputs and outputs then have; "": the first
// graph, by the names of its tensors.  owner keeps the bytes. Errors: corrupt, unsupported
// (operators that are not known, by name), exhausted, not_found (the method).
Result<Program> import_tflite(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                              const std::string& method = "");
inline Result<Program> import_tflite(std::shared_ptr<const MappedFile> file) {
  const auto bytes = file->bytes();
  return import_tflite(bytes, std::move(file));
}
// The keys of its signatures.  Errors: corrupt.
Result<std::vector<std::string>> tflite_methods(std::span<const std::byte> bytes);
bool looks_like_tflite(std::span<const std::byte> bytes);

}  // namespace hearth::graphs
