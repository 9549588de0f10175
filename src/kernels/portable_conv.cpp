// Convolution kernels that run everywhere; they are the reference too.
#define HEARTH_ISA portable_conv
#define HEARTH_LANES 4
#define HEARTH_TILE_PLACES 2
#define HEARTH_TILE_WIDE 1
#include "kernels/vectors.inl"
//
#include "kernels/conv.inl"
//
#include "kernels/conv_bytes_plain.inl"
//
#include "kernels/conv_table.inl"

namespace hearth::kernels {
extern const ConvKernels portable_conv_table;
constexpr ConvKernels portable_conv_table = portable_conv::make_conv_table("portable");
}  // namespace hearth::kernels
