// Step kernels for NEON with products of four bytes.
#define HEARTH_ISA dotprod_steps
#include "kernels/arm/steps.inl"

namespace hearth::kernels {
extern const StepKernels dotprod_step_table;
constexpr StepKernels dotprod_step_table = dotprod_steps::make_step_table("dotprod");
}  // namespace hearth::kernels
