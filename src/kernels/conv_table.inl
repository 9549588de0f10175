// The table of one instruction set, from the functions of its namespace.  Included last.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr ConvKernels make_conv_table(const char* name) {
  return {.name = name,
          .places = tile_places,
          .wide = tile_wide,
          .tile = tile,
          .depthwise = depthwise,
          .largest = largest_of_taps,
          .bytes = bytes};
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
