// What lies beside a graph's file and says more of it.
#pragma once

#include "graphs/graph.h"

namespace hearth::graphs {

// Labels that config.json names, and what preprocessor_config.json makes of pictures, where the
// file itself does not say.  A file that is damaged says nothing.
void read_beside(Program& program);

}  // namespace hearth::graphs
