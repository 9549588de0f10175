// What a person gives to a graph's inputs on the command line.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/command.h"
#include "graphs/graph.h"

namespace hearth::cli {

using GraphInputs = std::map<std::string, graphs::Value, std::less<>>;

// --input NAME=VALUE; a value alone where the graph has one input, or where it is an .npz whose
// arrays have the inputs' names.  Text for the tokens of a model with a tokenizer beside it brings
// the mask, the positions and an empty memory with it.
Result<GraphInputs> read_graph_inputs(const graphs::Program& program, const Arguments& arguments);

// --labels; otherwise those that the file names, or config.json beside it.
Result<std::vector<std::string>> read_labels(const graphs::Program& program,
                                             const Arguments& arguments);

}  // namespace hearth::cli
