// Many rows by panels of floats, 512-bit.
#define HEARTH_ISA avx512
#define HEARTH_LANES 16
#include "kernels/vectors.inl"
//
#include "kernels/tiles.inl"
//
#include "kernels/floats.inl"
//
#include "kernels/plain.inl"

namespace hearth::kernels {
extern const Gemm avx512_plain;
constexpr Gemm avx512_plain = avx512::plain;
}  // namespace hearth::kernels
