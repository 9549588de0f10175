#include "kernels/steps_select.h"

#include "kernels/runs_here.h"

namespace hearth::kernels {

extern const StepKernels portable_step_table;
#if defined(__x86_64__)
extern const StepKernels avx2_step_table, avx512_step_table;
#elif defined(__aarch64__)
extern const StepKernels neon_step_table, dotprod_step_table;
#endif

std::span<const StepCandidate> step_candidates() {
  static constexpr StepCandidate list[] = {
#if defined(__x86_64__)
      {&avx512_step_table, avx512_runs},
      {&avx2_step_table, avx2_runs},
#elif defined(__aarch64__)
      {&dotprod_step_table, dotprod_runs},
      {&neon_step_table, always},
#endif
      {&portable_step_table, always},
  };
  return list;
}

const StepKernels& step_reference() { return portable_step_table; }

const StepKernels& best_step_kernels() {
  static const StepKernels* const best = [] {
    for (const StepCandidate& candidate : step_candidates())
      if (candidate.supported()) return candidate.table;
    return &portable_step_table;
  }();
  return *best;
}

}  // namespace hearth::kernels
