// Quantisation for portable.
#define HEARTH_ISA portable
#define HEARTH_LANES 4
#include "kernels/encode_k.inl"

namespace hearth::kernels {
extern const Encoders portable_encoders;
const Encoders portable_encoders = portable::encoders_named("portable");
}  // namespace hearth::kernels
