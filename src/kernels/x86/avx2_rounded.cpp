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
void avx2_few_grouped(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                      const void* panels, std::size_t count, std::size_t k);
extern const Gemm avx2_rounded;
constexpr Gemm avx2_rounded = avx2::rounded_with(avx2_few_grouped);
}  // namespace hearth::kernels
