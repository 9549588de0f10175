// Rows, rounded to bytes, by panels of groups: NEON with products of four bytes.
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
#include "kernels/arm/code_group.inl"
//
#include "kernels/arm/rows_tile.inl"
//
#include "kernels/arm/gemm.inl"

namespace hearth::kernels {
void dotprod_one_bytes(Panel kind, float* y, const void* x, const void* panels, std::size_t count,
                       std::size_t k);

namespace dotprod {
namespace {

void few(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m, const void* panels,
         std::size_t count, std::size_t k) {
  if (m == 1) return dotprod_one_bytes(kind, y, x, panels, count, k);
  several_rows_of<1>(kind, y, ldy, x, m, panels, count, k);
}

}  // namespace
}  // namespace dotprod

extern const Gemm dotprod_bytes;
constexpr Gemm dotprod_bytes = dotprod::grouped_gemm<1>(dotprod::few);
}  // namespace hearth::kernels
