// What `run` and `show` do when their model is an operator graph.
#pragma once

#include "cli/command.h"

namespace hearth::cli {

Status run_graph(App& app, const Arguments& arguments);
Status show_graph(App& app, const Arguments& arguments);

}  // namespace hearth::cli
