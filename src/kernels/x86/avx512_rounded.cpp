// Many rows by panels of groups, 512-bit.
#define HEARTH_ISA avx512
#define HEARTH_LANES 16
#include "kernels/vectors.inl"
//
#include "kernels/x86/codes.inl"
//
#include "kernels/x86/rounded.inl"
//
#include "kernels/x86/rounded_gemm.inl"

namespace hearth::kernels {
extern const Gemm avx512_rounded;
constexpr Gemm avx512_rounded = avx512::rounded;
}  // namespace hearth::kernels
