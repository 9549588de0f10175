// Step kernels for NEON.
#define HEARTH_ISA neon_steps
#include "kernels/arm/steps.inl"

namespace hearth::kernels {
extern const StepKernels neon_step_table;
constexpr StepKernels neon_step_table = neon_steps::make_step_table("neon");
}  // namespace hearth::kernels
