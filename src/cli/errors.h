// The one place that maps a kind of error to the program's exit code.
#pragma once

#include "base/result.h"

namespace hearth::cli {

int exit_code(ErrorKind kind);

}  // namespace hearth::cli
