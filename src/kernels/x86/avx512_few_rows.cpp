// Products of few rows, 512-bit.
#define HEARTH_ISA avx512
#define HEARTH_LANES 16
#include "kernels/vectors.inl"
#include "kernels/x86/weights.inl"
//
#include "kernels/x86/few_rows.inl"

namespace hearth::kernels {

void avx512_few_rows(Panel kind, float* y, std::size_t ldy, const float* x, std::size_t ldx,
                     std::size_t m, const void* panels, std::size_t count, std::size_t k);
void avx512_few_rows(Panel kind, float* y, std::size_t ldy, const float* x, std::size_t ldx,
                     std::size_t m, const void* panels, std::size_t count, std::size_t k) {
  avx512::few_rows(kind, y, ldy, x, ldx, m, panels, count, k);
}

}  // namespace hearth::kernels
