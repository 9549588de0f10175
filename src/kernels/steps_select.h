// Which table of step kernels runs here; see select.h.
#pragma once

#include <span>

#include "kernels/steps.h"

namespace hearth::kernels {

struct StepCandidate {
  const StepKernels* table;
  bool (*supported)();
};

// Best first; the last one runs everywhere.
std::span<const StepCandidate> step_candidates();

// The best supported table, looked for once.  Thread-safe.
const StepKernels& best_step_kernels();

}  // namespace hearth::kernels
