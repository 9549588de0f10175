// Which table of kernels runs here: decided by what the processor reports and the operating system
// saves, never by its name.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "kernels/kernels.h"

namespace hearth::kernels {

struct Candidate {
  const Kernels* table;
  bool (*supported)();
};

// `table` with tiles too.
Kernels with_tiles(const char* name, const Kernels& table, const Gemm& tiles);

// Best first; the last one runs everywhere.
std::span<const Candidate> candidates();

// The best supported table, or the one called `forced` if that is not empty.  Call before threads
// start: tiles need a permission of the whole process.  Errors: invalid (no such table),
// unsupported (not on this processor).
Result<const Kernels*> choose(std::string_view forced);

}  // namespace hearth::kernels
