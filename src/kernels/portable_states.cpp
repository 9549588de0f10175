// State kernels that run everywhere.
#define HEARTH_ISA portable_states
#define HEARTH_LANES 4
#include "kernels/states.h"
#include "kernels/vectors.inl"
//
#include "kernels/states.inl"

namespace hearth::kernels {
extern const StateKernels portable_state_table;
constexpr StateKernels portable_state_table = portable_states::make_state_table("portable");
}  // namespace hearth::kernels
