// Quantisation for avx2.
#define HEARTH_ISA avx2
#define HEARTH_LANES 8
#include "kernels/encode_grids.inl"

namespace hearth::kernels {
extern const GridEncoders avx2_grid_encoders;
const GridEncoders avx2_grid_encoders = avx2::grid_encoders_named("avx2");
}  // namespace hearth::kernels
