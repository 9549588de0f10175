// The ONNX importer: a file, also one in ONNX Runtime's own format, becomes a Program.
#pragma once

#include <memory>
#include <string>

#include "base/files.h"
#include "graphs/graph.h"

namespace hearth::graphs {

// folder: where external data may lie; empty: nowhere.
// Errors: corrupt (with the place), unsupported (the operators that are not known, by name),
// exhausted (a limit).
Result<Program> import_onnx(std::shared_ptr<const MappedFile> file, const std::string& folder);
// Bytes that begin as a ModelProto does.
bool looks_like_onnx(std::span<const std::byte> bytes);
// As ONNX Runtime's format does (.ort).
bool looks_like_ort(std::span<const std::byte> bytes);

// One value of a file beside a model's: TensorProto, SequenceProto or OptionalProto.
Result<Value> read_onnx_value(std::span<const std::byte> bytes, Value::Kind kind);

}  // namespace hearth::graphs
