// Which table of state kernels runs here; see select.h.
#pragma once

#include <span>
#include <string_view>

#include "kernels/states.h"

namespace hearth::kernels {

struct StateCandidate {
  const StateKernels* table;
  bool (*supported)();
};

// Best first; the last one runs everywhere.
std::span<const StateCandidate> state_candidates();

// The one that goes with a table of kernels.
const StateKernels& state_kernels_beside(std::string_view name);

}  // namespace hearth::kernels
