#include "graphs/open.h"

#include <fmt/core.h>

#include "formats/litert.h"
#include "graphs/beside.h"
#include "graphs/coreml/import.h"
#include "graphs/executorch/import.h"
#include "graphs/infer.h"
#include "graphs/onnx/import.h"
#include "graphs/tflite/import.h"

namespace hearth::graphs {
namespace {

bool is_onnx(const std::string& path, std::span<const std::byte> bytes) {
  if (path.ends_with(".onnx")) return true;
  for (const std::string_view other :
       {".gguf", ".safetensors", ".bin", ".pt", ".pth", ".npz", ".mlmodel"})
    if (path.ends_with(other)) return false;  // first bytes of these can look like a message's
  return looks_like_onnx(bytes);
}

Result<Program> read_onnx(std::shared_ptr<const MappedFile> file, const std::string& path,
                          const std::string&) {
  return import_onnx(std::move(file), parent_folder(path));
}

bool is_ort(const std::string&, std::span<const std::byte> bytes) { return looks_like_ort(bytes); }

bool is_tflite(const std::string&, std::span<const std::byte> bytes) {
  return looks_like_tflite(bytes);
}

Result<Program> read_tflite(std::shared_ptr<const MappedFile> file, const std::string&,
                            const std::string& method) {
  const auto bytes = file->bytes();
  return import_tflite(bytes, std::move(file), method);
}

bool is_litert(const std::string& path, std::span<const std::byte> bytes) {
  return looks_like_litert(path, bytes);
}

// The graph in a bundle, as it reads one token.
Result<Program> read_bundle(std::shared_ptr<const MappedFile> file, const std::string&,
                            const std::string& method) {
  const LitertBundle bundle = TRY(read_litert(file->bytes()));
  return import_tflite(bundle.graph, std::move(file), method.empty() ? "decode" : method);
}

bool is_coreml(const std::string& path, std::span<const std::byte> bytes) {
  return path.ends_with(".mlmodel") || looks_like_coreml(bytes);
}

Result<Program> read_coreml(std::shared_ptr<const MappedFile> file, const std::string& path,
                            const std::string&) {
  return import_coreml(std::move(file), parent_folder(path));
}

bool is_executorch(const std::string&, std::span<const std::byte> bytes) {
  return looks_like_executorch(bytes);
}

Result<Program> read_executorch(std::shared_ptr<const MappedFile> file, const std::string& path,
                                const std::string& method) {
  return import_executorch(std::move(file), parent_folder(path), method);
}

constexpr Importer rows[] = {
    {"executorch", is_executorch, read_executorch, true},
    {"tflite", is_tflite, read_tflite, true},
    {"litert", is_litert, read_bundle, true},
    {"coreml", is_coreml, read_coreml},
    {"ort", is_ort, read_onnx},
    {"onnx", is_onnx, read_onnx},
};

}  // namespace

std::span<const Importer> importers() { return rows; }

bool is_graph(const std::string& path) {
  if (is_coreml_package(path)) return true;
  if (!is_file(path)) return false;
  const auto file = MappedFile::open(path);
  if (!file) return false;
  const auto bytes = (*file)->bytes();
  for (const Importer& row : rows)
    if (row.recognises(path, bytes.first(std::min<std::size_t>(bytes.size(), 1 << 16))))
      return true;
  return false;
}

namespace {

Result<Program> import_any(const std::string& path, const std::string& method) {
  const auto one_method = [](std::string_view format) {
    return Error(ErrorKind::invalid, fmt::format("a graph of {} has one method", format));
  };
  if (is_coreml_package(path)) {
    if (!method.empty()) return one_method("coreml");
    return import_coreml_package(path);
  }
  const auto file = TRY(MappedFile::open(path));
  for (const Importer& row : rows) {
    if (!row.recognises(path, file->bytes())) continue;
    if (!method.empty() && !row.has_methods) return one_method(row.name);
    return row.import(file, path, method);
  }
  return Error(ErrorKind::unsupported, "not a graph that Hearth reads");
}

}  // namespace

Result<Program> open_graph(const std::string& path, const std::string& method) {
  auto program = import_any(path, method);
  if (!program) return std::move(program).error().within(path);
  program->path = path;
  read_beside(*program);
  Graph described = *program->graph;
  infer_shapes(described);
  program->graph = std::make_shared<const Graph>(std::move(described));
  return program;
}

}  // namespace hearth::graphs
