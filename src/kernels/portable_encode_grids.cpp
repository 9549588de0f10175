// Quantisation for portable.
#define HEARTH_ISA portable
#define HEARTH_LANES 4
#include "kernels/encode_grids.inl"

namespace hearth::kernels {
extern const GridEncoders portable_grid_encoders;
const GridEncoders portable_grid_encoders = portable::grid_encoders_named("portable");
}  // namespace hearth::kernels
