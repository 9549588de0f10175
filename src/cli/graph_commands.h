// What `run` and `show` do when their model is an operator graph.
#pragma once

#include "cli/command.h"
#include "graphs/graph.h"

namespace hearth::cli {

// The file of the graph that the first argument means, by its path or by the name it is installed
// under; empty: it means none.
std::string graph_path(const Arguments& arguments);
Status run_graph(App& app, const Arguments& arguments, const std::string& path);
Status show_graph(App& app, const Arguments& arguments, const std::string& path);
// Nodes as boxes, inputs and outputs as ellipses, bodies of branches and loops in frames.
void draw_graph(App& app, const graphs::Graph& graph);

}  // namespace hearth::cli
