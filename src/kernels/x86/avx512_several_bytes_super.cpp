// Several rows, rounded to bytes, by panels of groups in super-blocks, 512-bit.
#define HEARTH_ISA avx512
#define HEARTH_LANES 16
#include "kernels/vectors.inl"
//
#include "kernels/x86/codes.inl"
//
#include "kernels/x86/bytes.inl"
//
#include "kernels/x86/several_bytes.inl"

namespace hearth::kernels {
void avx512_several_bytes_super(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                                const void* panels, std::size_t count, std::size_t k);
void avx512_several_bytes_super(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                                const void* panels, std::size_t count, std::size_t k) {
  avx512::several_bytes_of<true>(kind, y, ldy, x, m, panels, count, k);
}
}  // namespace hearth::kernels
