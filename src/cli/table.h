// Tables for people.
#pragma once

#include <string>
#include <vector>

#include "cli/output.h"

namespace hearth::cli {

using TableRow = std::vector<std::string>;

// Columns as wide as they need to be, two spaces apart; the last one is not padded.
void print_table(Output& out, const TableRow& head, const std::vector<TableRow>& rows);

}  // namespace hearth::cli
