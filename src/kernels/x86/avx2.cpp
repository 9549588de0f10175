// AVX2 with FMA and F16C: 256-bit vectors.
#define HEARTH_ISA avx2
#define HEARTH_LANES 8
#include "kernels/portable.inl"
//
#include "kernels/floats.inl"
//
#include "kernels/few_floats.inl"

namespace hearth::kernels {

extern const Kernels avx2_table;
extern const Gemm avx2_plain, avx2_rounded, avx2_bytes;

constexpr Kernels avx2_table =
    avx2::make_table("avx2", avx2::few, &avx2_plain, &avx2_rounded, &avx2_bytes);

}  // namespace hearth::kernels
