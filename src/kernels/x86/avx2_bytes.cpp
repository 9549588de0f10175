// Rows rounded to bytes by panels of groups, 256-bit.
#define HEARTH_ISA avx2
#define HEARTH_LANES 8
#include "kernels/vectors.inl"
//
#include "kernels/x86/codes.inl"
//
#include "kernels/x86/bytes.inl"
//
#include "kernels/x86/bytes_tile_words.inl"
//
#include "kernels/x86/bytes_round.inl"
//
#include "kernels/x86/bytes_gemm.inl"

namespace hearth::kernels {
void avx2_few_bytes(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                    const void* panels, std::size_t count, std::size_t k);
extern const Gemm avx2_bytes;
constexpr Gemm avx2_bytes = avx2::bytes_with(avx2_few_bytes, few_rows);
}  // namespace hearth::kernels
