// GraphDecoder: a graph that reads tokens and gives logits, with its keys and values as inputs and
// outputs, or without any.
#pragma once

#include <memory>

#include "engines/continued_model.h"
#include "engines/graph_binding.h"
#include "engines/graph_run.h"

namespace hearth::adapters {

std::unique_ptr<const Decoder> make_graph_decoder(std::unique_ptr<const GraphRun> run,
                                                  GraphBinding binding);

}  // namespace hearth::adapters
