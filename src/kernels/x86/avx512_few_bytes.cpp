// Few rows, rounded to bytes, by panels of groups, 512-bit.
#define HEARTH_ISA avx512
#define HEARTH_LANES 16
#include "kernels/vectors.inl"
//
#include "kernels/x86/codes.inl"
//
#include "kernels/x86/bytes.inl"
//
#include "kernels/x86/few_bytes.inl"

namespace hearth::kernels {
void avx512_few_bytes(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                      const void* panels, std::size_t count, std::size_t k);
void avx512_few_bytes_super(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                            const void* panels, std::size_t count, std::size_t k);
void avx512_several_bytes(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                          const void* panels, std::size_t count, std::size_t k);
void avx512_several_bytes_super(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                                const void* panels, std::size_t count, std::size_t k);
void avx512_few_bytes(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                      const void* panels, std::size_t count, std::size_t k) {
  const bool super = avx512::has_super(kind);
  const auto few = m > few_rows ? (super ? avx512_several_bytes_super : avx512_several_bytes)
                   : super      ? avx512_few_bytes_super
                                : avx512::few_bytes_of<false>;
  few(kind, y, ldy, x, m, panels, count, k);
}
}  // namespace hearth::kernels
