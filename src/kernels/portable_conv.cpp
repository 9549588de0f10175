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

namespace hearth::kernels {
extern const ConvKernels portable_conv_table;
constexpr ConvKernels portable_conv_table = {.name = "portable",
                                             .places = portable_conv::tile_places,
                                             .wide = portable_conv::tile_wide,
                                             .tile = portable_conv::tile,
                                             .depthwise = portable_conv::depthwise,
                                             .largest = portable_conv::largest_of_taps,
                                             .bytes = portable_conv::plain_bytes};
}  // namespace hearth::kernels
