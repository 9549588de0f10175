// Help pages and the reference page, made from the rows of the commands.
#pragma once

#include <string>

#include "cli/command.h"

namespace hearth::cli {

std::string help_overview();
std::string help_page(const Command& command);
std::string help_markdown();  // docs/reference/commands.md

extern const Command help_command;

}  // namespace hearth::cli
