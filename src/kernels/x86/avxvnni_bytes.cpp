// Rows rounded to bytes by panels of groups, 256-bit, with AVX-VNNI.
#define HEARTH_ISA avxvnni
#define HEARTH_LANES 8
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
void avxvnni_few_bytes(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                       const void* panels, std::size_t count, std::size_t k);
extern const Gemm avxvnni_bytes;
constexpr Gemm avxvnni_bytes = avxvnni::bytes_with(avxvnni_few_bytes, few_rows);
}  // namespace hearth::kernels
