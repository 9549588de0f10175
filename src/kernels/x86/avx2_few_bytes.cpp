// Few rows, rounded to bytes, by panels of groups, 256-bit.
#define HEARTH_ISA avx2
#define HEARTH_LANES 8
#include "kernels/vectors.inl"
//
#include "kernels/x86/codes.inl"
//
#include "kernels/x86/bytes.inl"
//
#include "kernels/x86/few_bytes.inl"

namespace hearth::kernels {
void avx2_few_bytes(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                    const void* panels, std::size_t count, std::size_t k);
void avx2_few_bytes(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                    const void* panels, std::size_t count, std::size_t k) {
  const auto few = avx2::has_super(kind) ? avx2::few_bytes_of<true> : avx2::few_bytes_of<false>;
  few(kind, y, ldy, x, m, panels, count, k);
}
}  // namespace hearth::kernels
