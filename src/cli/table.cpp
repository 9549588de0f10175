#include "cli/table.h"

#include <fmt/core.h>

#include <algorithm>

namespace hearth::cli {

void print_table(Output& out, const TableRow& head, const std::vector<TableRow>& rows) {
  std::vector<std::size_t> widths;
  for (std::size_t column = 0; column < head.size(); ++column) {
    std::size_t width = head[column].size();
    for (const TableRow& row : rows) width = std::max(width, row[column].size());
    widths.push_back(column + 1 < head.size() ? width : 0);
  }
  const auto line = [&](const TableRow& row) {
    std::string text;
    for (std::size_t column = 0; column < row.size(); ++column)
      text +=
          fmt::format("{:<{}}{}", row[column], widths[column], column + 1 < row.size() ? "  " : "");
    return text;
  };
  out.line(out.bold(line(head)));
  for (const TableRow& row : rows) out.line(line(row));
}

}  // namespace hearth::cli
