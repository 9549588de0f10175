// NEON, which every aarch64 processor has: 128-bit vectors.
#define HEARTH_ISA neon
#define HEARTH_LANES 4
#include "kernels/portable.inl"
//
#include "kernels/floats.inl"
//
#include "kernels/few_floats.inl"

namespace hearth::kernels {

extern const Kernels neon_table;
extern const Gemm neon_plain, neon_rounded, neon_bytes;

constexpr Kernels neon_table =
    neon::make_table("neon", neon::few, &neon_plain, &neon_rounded, &neon_bytes);

}  // namespace hearth::kernels
