// Completion scripts, made from the rows of the commands.
#pragma once

#include <string>

namespace hearth::cli {

std::string bash_completion();
std::string zsh_completion();
std::string fish_completion();

}  // namespace hearth::cli
