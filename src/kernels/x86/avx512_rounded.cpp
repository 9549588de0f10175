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
void avx512_few_grouped(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                        const void* panels, std::size_t count, std::size_t k);
extern const Gemm avx512_rounded;
constexpr Gemm avx512_rounded = avx512::rounded_with(avx512_few_grouped);
}  // namespace hearth::kernels
