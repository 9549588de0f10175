// State kernels for AVX2 with fused multiply-add.
#define HEARTH_ISA avx2_states
#define HEARTH_LANES 8
#include "kernels/states.h"
#include "kernels/vectors.inl"
//
#include "kernels/states.inl"

namespace hearth::kernels {
extern const StateKernels avx2_state_table;
constexpr StateKernels avx2_state_table = avx2_states::make_state_table("avx2");
}  // namespace hearth::kernels
