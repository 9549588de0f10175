// Quantisation for avx512.
#define HEARTH_ISA avx512
#define HEARTH_LANES 16
#include "kernels/encode_grids.inl"

namespace hearth::kernels {
extern const GridEncoders avx512_grid_encoders;
const GridEncoders avx512_grid_encoders = avx512::grid_encoders_named("avx512");
}  // namespace hearth::kernels
