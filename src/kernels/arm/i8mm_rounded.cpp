// Rows, rounded in two planes of bytes, by panels of groups: NEON with products of two rows by two.
#define HEARTH_ISA i8mm
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
#include "kernels/arm/pairs_tile.inl"
//
#include "kernels/arm/gemm.inl"

namespace hearth::kernels {
void dotprod_one_rounded(Panel kind, float* y, const void* x, const void* panels, std::size_t count,
                         std::size_t k);

namespace i8mm {
namespace {

void few(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m, const void* panels,
         std::size_t count, std::size_t k) {
  if (m == 1) return dotprod_one_rounded(kind, y, x, panels, count, k);
  several_rows_of<2>(kind, y, ldy, x, m, panels, count, k);
}

}  // namespace
}  // namespace i8mm

extern const Gemm i8mm_rounded;
constexpr Gemm i8mm_rounded = i8mm::grouped_gemm<2>(i8mm::few);
}  // namespace hearth::kernels
