// Convolution kernels for NEON.
#define HEARTH_ISA neon_conv
#define HEARTH_LANES 4
#define HEARTH_TILE_PLACES 6
#define HEARTH_TILE_WIDE 1
#include "kernels/vectors.inl"
//
#include "kernels/conv.inl"
//
#include "kernels/conv_bytes_plain.inl"
//
#include "kernels/conv_table.inl"

namespace hearth::kernels {
extern const ConvKernels neon_conv_table;
constexpr ConvKernels neon_conv_table = neon_conv::make_conv_table("neon");
}  // namespace hearth::kernels
