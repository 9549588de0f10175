// Any bytes as an ONNX model: imported or refused.
#include <cstddef>
#include <cstdint>

#include "graphs/executor.h"
#include "graphs/infer.h"
#include "graphs/onnx/import.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  const auto file = MappedFile::of_program({reinterpret_cast<const std::byte*>(data), size});
  auto program = graphs::import_onnx(file, "");
  if (!program) return 0;
  graphs::Graph graph = *program->graph;
  graphs::infer_shapes(graph);
  return 0;
}
