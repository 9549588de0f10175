// State kernels for AVX-512.
#define HEARTH_ISA avx512_states
#define HEARTH_LANES 16
#include "kernels/states.h"
#include "kernels/vectors.inl"
//
#include "kernels/states.inl"

namespace hearth::kernels {
extern const StateKernels avx512_state_table;
constexpr StateKernels avx512_state_table = avx512_states::make_state_table("avx512");
}  // namespace hearth::kernels
