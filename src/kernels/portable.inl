// All of one instruction set, compiled once for each.  The includer defines HEARTH_LANES, floats
// per register, and HEARTH_ISA, a namespace, so that profiles name the build.  No external linkage.
#include "kernels/vectors.inl"
// In the order in which they build on one another:
#include "kernels/rows.inl"
//
#include "kernels/attention.inl"

namespace hearth::kernels::HEARTH_ISA {
namespace {

// A table of what is above, with the multiplications given.
constexpr Kernels make_table(const char* name, decltype(Kernels::few) few, const Gemm* plain,
                             const Gemm* rounded, const Gemm* bytes) {
  return {
      .name = name,
      .dot = dot,
      .few = few,
      .plain = plain,
      .rounded = rounded,
      .bytes = bytes,
      .tiles = nullptr,
      .rms_norm = rms_norm,
      .layer_norm = layer_norm,
      .l2_norm = l2_norm,
      .rope_halves = rope_halves,
      .rope_pairs = rope_pairs,
      .activate = {activate<Curve::silu>, activate<Curve::gelu>, activate<Curve::gelu_tanh>,
                   activate<Curve::quick_gelu>, activate<Curve::relu>,
                   activate<Curve::relu_squared>, activate<Curve::tanh>, activate<Curve::sigmoid>},
      .activate_mul = {activate_mul<Curve::silu>, activate_mul<Curve::gelu>,
                       activate_mul<Curve::gelu_tanh>, activate_mul<Curve::quick_gelu>,
                       activate_mul<Curve::relu>, activate_mul<Curve::relu_squared>,
                       activate_mul<Curve::tanh>, activate_mul<Curve::sigmoid>},
      .swiglu_clamped = swiglu_clamped,
      .add = add,
      .scale = scale,
      .softcap = softcap,
      .softmax = softmax,
      .to_half = to_half,
      .scores = {scores<KvForm::f32>, scores<KvForm::f16>, scores<KvForm::bf16>, scores<KvForm::q8>,
                 scores<KvForm::q4>},
      .softmax_step = softmax_step,
      .mix = {mix<KvForm::f32>, mix<KvForm::f16>, mix<KvForm::bf16>, mix<KvForm::q8>,
              mix<KvForm::q4>},
  };
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
