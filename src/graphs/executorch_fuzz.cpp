// Any bytes as an ExecuTorch program: imported or refused.
#include <cstddef>
#include <cstdint>

#include "graphs/executorch/import.h"
#include "graphs/infer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  const auto file = MappedFile::of_program({reinterpret_cast<const std::byte*>(data), size});
  const auto program = graphs::import_executorch(file, "");
  if (!program) return 0;
  graphs::Graph graph = *program->graph;
  graphs::infer_shapes(graph);
  return 0;
}
