// The name that a misspelt one most likely meant.
#pragma once

#include <span>
#include <string_view>

namespace hearth {

// The candidate at the least Damerau-Levenshtein distance (the first of equals); "" for none.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace hearth
