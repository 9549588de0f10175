// Many rows by panels of groups, 256-bit.
#define HEARTH_ISA avx2
#define HEARTH_LANES 8
#include "kernels/vectors.inl"
//
#include "kernels/x86/codes.inl"
//
#include "kernels/x86/rounded.inl"
//
#include "kernels/x86/rounded_gemm.inl"

namespace hearth::kernels {
extern const Gemm avx2_rounded;
constexpr Gemm avx2_rounded = avx2::rounded;
}  // namespace hearth::kernels
