// One row, rounded in two planes of bytes, by panels of groups: NEON with products of four bytes.
#define HEARTH_ISA dotprod
#define HEARTH_LANES 4
#include "kernels/vectors.inl"
//
#include "kernels/arm/codes.inl"
//
#include "kernels/arm/activations.inl"
//
#include "kernels/arm/sums.inl"
//
#include "kernels/arm/few.inl"

namespace hearth::kernels {
void dotprod_one_rounded(Panel kind, float* y, const void* x, const void* panels, std::size_t count,
                         std::size_t k);
void dotprod_one_rounded(Panel kind, float* y, const void* x, const void* panels, std::size_t count,
                         std::size_t k) {
  dotprod::one_row_of<2>(kind, y, x, panels, count, k);
}
}  // namespace hearth::kernels
