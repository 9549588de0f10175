// From the words of the command line to an exit code.
#pragma once

#include <string>
#include <vector>

namespace hearth::cli {

int dispatch(const std::vector<std::string>& words);

}  // namespace hearth::cli
