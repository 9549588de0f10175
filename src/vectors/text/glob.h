// Patterns of file names: '*' and '?' within a name, "**" across folders, [a-z], {md,txt}.
#pragma once

#include <string_view>

namespace hearth::vectors {

// path: relative, with '/'.  A pattern without '/' is about the name alone.
bool matches_glob(std::string_view pattern, std::string_view path);

}  // namespace hearth::vectors
