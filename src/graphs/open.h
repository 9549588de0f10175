// From a file on disk to a Program, whatever format it is in.
#pragma once

#include <span>
#include <string>

#include "base/files.h"
#include "graphs/graph.h"

namespace hearth::graphs {

// One row of the list in open.cpp.
struct Importer {
  std::string_view name;  // "onnx"
  bool (*recognises)(const std::string& path, std::span<const std::byte> bytes);
  Result<Program> (*import)(std::shared_ptr<const MappedFile> file, const std::string& path,
                            const std::string& method);
  bool has_methods = false;
};
std::span<const Importer> importers();

// Whether a path names a graph that Hearth reads; looks at the file's first bytes.
bool is_graph(const std::string& path);
// method: of an ExecuTorch program or a TFLite model of several; "": its own choice.
// Errors: not_found, unsupported, corrupt, exhausted, invalid (a method of another format); each
// with the path.
Result<Program> open_graph(const std::string& path, const std::string& method = "");

}  // namespace hearth::graphs
