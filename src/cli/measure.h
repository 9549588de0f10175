// The machine's speeds, measured while somebody waits.
#pragma once

#include "cli/command.h"
#include "library/machine_speeds.h"

namespace hearth::cli {

// Measures with the kernels of --cpu, shows what is being measured, and keeps the result.
Result<MachineSpeeds> measure_machine(App& app, const Arguments& arguments);

// As kept; the first time measured.  What is chosen by it stays the same from call to call.
Result<MachineFigures> figures_of_machine(App& app);

}  // namespace hearth::cli
