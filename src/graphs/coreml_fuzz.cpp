// Any bytes as a Core ML model, which are its weights too: imported or refused.
#include <cstddef>
#include <cstdint>

#include "graphs/coreml/import.h"
#include "graphs/infer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  const auto file = MappedFile::of_program({reinterpret_cast<const std::byte*>(data), size});
  const auto program = graphs::import_coreml(file, file);
  if (!program) return 0;
  graphs::Graph graph = *program->graph;
  graphs::infer_shapes(graph);
  return 0;
}
