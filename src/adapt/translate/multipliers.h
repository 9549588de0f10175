// Falcon-H1: factors that a folder keeps in config.json and a GGUF file has multiplied into its
// matrices.  A folder that is written says none.
#pragma once

#include <vector>

#include "adapt/translate/origin.h"

namespace hearth::adapt {

// Of every row of a matrix in a folder, or one of them all; empty: none.  Errors: corrupt (other
// counts of numbers), unsupported (a tied output, which has a factor of its own).
Result<std::vector<double>> row_factors(const Origin& origin, models::Role role);

}  // namespace hearth::adapt
