// Rewrites that leave a graph's results as they are and make it quicker to run.
#pragma once

#include "graphs/graph.h"

namespace hearth::graphs {

// Computes what hangs on constants alone, and takes batch normalisations into the convolutions
// before them (results then differ in the last bits).  Best effort: what meets an error stays.
std::shared_ptr<const Graph> optimised(const Graph& graph);

}  // namespace hearth::graphs
