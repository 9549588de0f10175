#include "ops/quantise.h"

#include <cstdint>
#include <cstring>

#include "base/half.h"
#include "kernels/encode_select.h"

namespace hearth::ops {
namespace {

void copy_f32(const float* x, const float*, void* stored, std::size_t count) {
  if (count != 0) std::memcpy(stored, x, count * sizeof(float));
}

template <std::uint16_t (*convert)(float)>
void each(const float* x, const float*, void* stored, std::size_t count) {
  auto* to = static_cast<std::byte*>(stored);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint16_t value = convert(x[i]);
    std::memcpy(to + i * sizeof value, &value, sizeof value);
  }
}

}  // namespace

QuantiseRow quantiser(Dtype dtype) {
  const kernels::Encoders& plain = *kernels::best_encoders().plain;
  const kernels::GridEncoders& grids = *kernels::best_encoders().grids;
  switch (dtype) {
    case Dtype::f32:
      return copy_f32;
    case Dtype::f16:
      return each<f32_to_f16>;
    case Dtype::bf16:
      return each<f32_to_bf16>;
    case Dtype::q4_0:
      return plain.q4_0;
    case Dtype::q4_1:
      return plain.q4_1;
    case Dtype::q5_0:
      return plain.q5_0;
    case Dtype::q5_1:
      return plain.q5_1;
    case Dtype::q8_0:
      return plain.q8_0;
    case Dtype::q2_k:
      return plain.q2_k;
    case Dtype::q3_k:
      return plain.q3_k;
    case Dtype::q4_k:
      return plain.q4_k;
    case Dtype::q5_k:
      return plain.q5_k;
    case Dtype::q6_k:
      return plain.q6_k;
    case Dtype::iq4_nl:
      return plain.iq4_nl;
    case Dtype::iq4_xs:
      return plain.iq4_xs;
    case Dtype::tq1_0:
      return plain.tq1_0;
    case Dtype::tq2_0:
      return plain.tq2_0;
    case Dtype::mxfp4:
      return plain.mxfp4;
    case Dtype::nvfp4:
      return plain.nvfp4;
    case Dtype::q1_0:
      return plain.q1_0;
    case Dtype::q2_0:
      return plain.q2_0;
    case Dtype::iq1_s:
      return grids.iq1_s;
    case Dtype::iq1_m:
      return grids.iq1_m;
    case Dtype::iq2_xxs:
      return grids.iq2_xxs;
    case Dtype::iq2_xs:
      return grids.iq2_xs;
    case Dtype::iq2_s:
      return grids.iq2_s;
    case Dtype::iq3_xxs:
      return grids.iq3_xxs;
    case Dtype::iq3_s:
      return grids.iq3_s;
    default:
      return nullptr;
  }
}

}  // namespace hearth::ops
