// AVX2 with FMA and F16C: 256-bit vectors.
#define HEARTH_ISA avx2
#define HEARTH_LANES 8
#include "kernels/portable.inl"
#include "kernels/x86/weights.inl"
//
#include "kernels/x86/unpack.inl"

namespace hearth::kernels {

extern const Kernels avx2_table;
void avx2_few_rows(Panel kind, float* y, std::size_t ldy, const float* x, std::size_t ldx,
                   std::size_t m, const void* panels, std::size_t count, std::size_t k);

constexpr Kernels avx2_table =
    avx2::make_table("avx2", avx2_few_rows, avx2::many_rows, avx2::many_rows);

}  // namespace hearth::kernels
