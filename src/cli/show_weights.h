// What `hearth show` tells of files that are no model by themselves.
#pragma once

#include "cli/command.h"
#include "formats/package.h"

namespace hearth::cli {

// One line for each tensor, and the same for programs.
void list_tensors(Output& out, const Package& package);
Json tensors_json(const Package& package);

// Weights that nothing here runs, and why.
void show_weights(App& app, const Arguments& arguments, const Package& package, const Error& why);

// A LoRA adapter: for which model, and what it changes.  Errors: as open_lora.
bool is_adapter(const std::string& path);
Status show_adapter(App& app, const Arguments& arguments, const std::string& path);

}  // namespace hearth::cli
