// GraphDecoder: a graph that reads tokens and gives logits, with its keys and values as inputs and
// outputs, or without any.
#pragma once

#include <memory>

#include "engines/continued_model.h"
#include "engines/graph_binding.h"
#include "engines/graph_run.h"

namespace hearth::adapters {

// A graph of a model, and what its inputs and outputs are.
struct GraphStage {
  std::unique_ptr<const GraphRun> run;
  GraphBinding binding;
};

// stages: the same model for several numbers of tokens; all share their states.  The last one gives
// logits and reads one token at a time, or any number.
std::unique_ptr<const Decoder> make_graph_decoder(std::vector<GraphStage> stages);

}  // namespace hearth::adapters
