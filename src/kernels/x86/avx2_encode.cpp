// Quantisation for avx2.
#define HEARTH_ISA avx2
#define HEARTH_LANES 8
#include "kernels/encode_k.inl"

namespace hearth::kernels {
extern const Encoders avx2_encoders;
const Encoders avx2_encoders = avx2::encoders_named("avx2");
}  // namespace hearth::kernels
