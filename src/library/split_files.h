// Models that lie in several numbered files.
#pragma once

#include <string>

namespace hearth {

// Of the file that has one part of a split model, another one; of others: itself.
std::string part_path(const std::string& path, int part);

}  // namespace hearth
