// Texts that a command works on, from its words or from standard input.
#pragma once

#include "cli/arguments.h"

namespace hearth::cli {

// The arguments from the one numbered `first` on; where there are none, each line of standard input
// that is not empty.  Errors: those of reading; exhausted: over 64 MiB.
Result<std::vector<std::string>> texts_from(const Arguments& arguments, std::size_t first);

}  // namespace hearth::cli
