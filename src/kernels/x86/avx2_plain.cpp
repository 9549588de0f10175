// Many rows by panels of floats, 256-bit.
#define HEARTH_ISA avx2
#define HEARTH_LANES 8
#include "kernels/vectors.inl"
//
#include "kernels/tiles.inl"
//
#include "kernels/floats.inl"
//
#include "kernels/plain.inl"

namespace hearth::kernels {
extern const Gemm avx2_plain;
constexpr Gemm avx2_plain = avx2::plain;
}  // namespace hearth::kernels
