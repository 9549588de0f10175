// AVX-512 (F, BW, DQ, VL, VNNI): 512-bit vectors, one column of a panel each.
#define HEARTH_ISA avx512
#define HEARTH_LANES 16
#include "kernels/portable.inl"
//
#include "kernels/floats.inl"
//
#include "kernels/few_floats.inl"

namespace hearth::kernels {

extern const Kernels avx512_table;
extern const Gemm avx512_plain, avx512_rounded, avx512_bytes;

constexpr Kernels avx512_table =
    avx512::make_table("avx512", avx512::few, &avx512_plain, &avx512_rounded, &avx512_bytes);

}  // namespace hearth::kernels
