// Quantisation for avx512.
#define HEARTH_ISA avx512
#define HEARTH_LANES 16
#include "kernels/encode_k.inl"

namespace hearth::kernels {
extern const Encoders avx512_encoders;
const Encoders avx512_encoders = avx512::encoders_named("avx512");
}  // namespace hearth::kernels
