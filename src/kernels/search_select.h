// Which table of search kernels runs here; see select.h.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "kernels/search.h"

namespace hearth::kernels {

struct SearchCandidate {
  const SearchKernels* table;
  const char* cpu;  // what --cpu takes: the name of the table in select.h beside which it runs
  bool (*supported)();
};

// Best first; the last one runs everywhere.
std::span<const SearchCandidate> search_candidates();

// The best supported table, or the best of those for `forced` if that is not empty.  Call before
// threads start: tiles need a permission of the whole process.  Errors: invalid (no such table),
// unsupported (not on this processor).
Result<const SearchKernels*> choose_search(std::string_view forced);

// choose_search("") once for the whole process.  Thread-safe.
const SearchKernels& best_search_kernels();

}  // namespace hearth::kernels
