// hearth config optimize.
#pragma once

#include "cli/command.h"

namespace hearth::cli {

// Proposes what suits this machine and the workload of --workload, says why, and writes it to the
// user's file when the person, or --yes, agrees.
Status optimize_settings(App& app, const Arguments& arguments);

}  // namespace hearth::cli
