// Many rows by panels of floats: NEON.
#define HEARTH_ISA neon
#define HEARTH_LANES 4
#include "kernels/vectors.inl"
//
#include "kernels/tiles.inl"
//
#include "kernels/floats.inl"
//
#include "kernels/plain.inl"

namespace hearth::kernels {
extern const Gemm neon_plain;
constexpr Gemm neon_plain = neon::plain;
}  // namespace hearth::kernels
