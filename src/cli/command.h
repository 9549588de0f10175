// A command of the program: one row gives dispatch, help, completion and the reference page.
#pragma once

#include <span>
#include <string_view>

#include "cli/arguments.h"
#include "cli/output.h"

namespace hearth::cli {

// What a command works with.  Built by main; used by one thread.
struct App {
  Output& out;
};

struct Option {
  std::string_view name;   // "--max-tokens"
  std::string_view value;  // what it takes, for help: "N"; empty: a switch
  std::string_view help;
  bool repeats = false;  // may be given several times
};

struct Command {
  std::string_view name;       // "run"
  std::string_view arguments;  // "MODEL [PROMPT]": brackets: may be absent; "...": one or more
  std::string_view summary;
  std::string_view details;  // further help, with an example
  std::span<const Option> options;
  Status (*run)(App& app, const Arguments& arguments);
};

// Every command, in the order that help shows them.
std::span<const Command* const> commands();
// Options that every command takes.
std::span<const Option> common_options();

}  // namespace hearth::cli
