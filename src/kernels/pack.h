// The two ways of pack_panel(): row by row, and sixteen rows at once.
#pragma once

#include "kernels/panels.h"

namespace hearth::kernels {

// As pack_panel(), obvious and slow: what pack_sixteen() is held to.
void pack_rows(Panel kind, void* panel, const void* stored, std::size_t row_bytes, std::size_t rows,
               std::size_t k);

// As pack_panel() of 16 rows, several times as fast; k > 0.
void pack_sixteen(Panel kind, void* panel, const void* stored, std::size_t row_bytes,
                  std::size_t k);

}  // namespace hearth::kernels
