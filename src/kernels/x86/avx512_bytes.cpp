// Many rows, rounded to bytes, by panels of groups, 512-bit.
#define HEARTH_ISA avx512
#define HEARTH_LANES 16
#include "kernels/vectors.inl"
//
#include "kernels/x86/codes.inl"
//
#include "kernels/x86/bytes.inl"
//
#include "kernels/x86/bytes_tile.inl"
//
#include "kernels/x86/bytes_round.inl"
//
#include "kernels/x86/bytes_gemm.inl"

namespace hearth::kernels {
void avx512_few_bytes(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                      const void* panels, std::size_t count, std::size_t k);
extern const Gemm avx512_bytes;
constexpr Gemm avx512_bytes = avx512::bytes_with(avx512_few_bytes, several_rows);
}  // namespace hearth::kernels
