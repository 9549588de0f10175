// AVX-512 (F, BW, DQ, VL, VNNI): 512-bit vectors, one column of a panel each.
#define HEARTH_ISA avx512
#define HEARTH_LANES 16
#include "kernels/portable.inl"
//
#include "kernels/x86/floats.inl"
//
#include "kernels/x86/few_floats.inl"

namespace hearth::kernels {

extern const Kernels avx512_table;
extern const Gemm avx512_plain, avx512_rounded;
void avx512_few_grouped(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                        const void* panels, std::size_t count, std::size_t k);

constexpr Kernels avx512_table =
    avx512::make_table("avx512", avx512::few, avx512_few_grouped, &avx512_plain, &avx512_rounded);

}  // namespace hearth::kernels
