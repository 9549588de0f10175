// Rows, rounded in two planes of bytes, by panels of groups: NEON.
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
#include "kernels/arm/code_group.inl"
//
#include "kernels/arm/rows_tile.inl"
//
#include "kernels/arm/gemm.inl"

namespace hearth::kernels {
void neon_one_rounded(Panel kind, float* y, const void* x, const void* panels, std::size_t count,
                      std::size_t k);

namespace neon {
namespace {

void few(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m, const void* panels,
         std::size_t count, std::size_t k) {
  if (m == 1) return neon_one_rounded(kind, y, x, panels, count, k);
  several_rows_of<2>(kind, y, ldy, x, m, panels, count, k);
}

}  // namespace
}  // namespace neon

extern const Gemm neon_rounded;
constexpr Gemm neon_rounded = neon::grouped_gemm<2>(neon::few);
}  // namespace hearth::kernels
