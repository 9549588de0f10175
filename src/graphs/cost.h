// Cost: how much a graph has to multiply, known before any run.
#pragma once

#include <cstdint>

#include "graphs/graph.h"

namespace hearth::graphs {

struct Cost {
  std::uint64_t multiplications = 0;  // each with an addition; an upper bound of 2^63
  std::size_t unknown = 0;            // products whose shapes are not known: they count as none
  bool has_open = false;              // an open extent counts as 1, a body as one turn
};

// Products of convolutions, matrices, attention and cells, after infer_shapes; what works on each
// element alone is not counted.
Cost cost_of(const Graph& graph);

}  // namespace hearth::graphs
