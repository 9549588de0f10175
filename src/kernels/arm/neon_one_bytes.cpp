// One row, rounded to bytes, by panels of groups: NEON.
#define HEARTH_ISA neon
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
void neon_one_bytes(Panel kind, float* y, const void* x, const void* panels, std::size_t count,
                    std::size_t k);
void neon_one_bytes(Panel kind, float* y, const void* x, const void* panels, std::size_t count,
                    std::size_t k) {
  neon::one_row_of<1>(kind, y, x, panels, count, k);
}
}  // namespace hearth::kernels
