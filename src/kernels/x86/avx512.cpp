// AVX-512 (F, BW, DQ, VL): 512-bit vectors, one column of a panel each.
#define HEARTH_ISA avx512
#define HEARTH_LANES 16
#include "kernels/portable.inl"
#include "kernels/x86/weights.inl"
//
#include "kernels/x86/unpack.inl"

namespace hearth::kernels {

extern const Kernels avx512_table;
void avx512_few_rows(Panel kind, float* y, std::size_t ldy, const float* x, std::size_t ldx,
                     std::size_t m, const void* panels, std::size_t count, std::size_t k);

constexpr Kernels avx512_table =
    avx512::make_table("avx512", avx512_few_rows, avx512::many_rows, avx512::many_rows);

}  // namespace hearth::kernels
