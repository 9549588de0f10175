// The weights in a language model's graph, found by the places of its operators, as a package that
// the transformer engine runs.
#pragma once

#include "formats/package.h"
#include "graphs/graph.h"

namespace hearth::adapters {

// `from`: the graph's package, whose configuration and tokenizer the result shares.  Whether the
// graph computes what the architecture says is not known before both have run: see
// agree_with_graph().  Errors: unsupported (no layers whose names are known).
Result<Package> weights_of_graph(const Package& from, const graphs::Program& program);

}  // namespace hearth::adapters
