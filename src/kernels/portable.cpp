// The table that runs everywhere: 128-bit vectors, which every 64-bit machine has.
#define HEARTH_ISA portable
#define HEARTH_LANES 4
#include "kernels/portable.inl"

namespace hearth::kernels {
namespace portable {
namespace {

constexpr Gemm gemm = {
    .tile_rows = tile_rows,
    .element_bytes = 4,
    .k_step = 1,
    .exact = true,
    .pack = pack,
    .unpack = {unpack_f32, unpack_f16, unpack_bf16, unpack_q8_0, unpack_q4_0, unpack_iq4_nl,
               unpack_q5_0, unpack_q4_k, unpack_q5_k, unpack_q6_k, unpack_iq4_xs, unpack_mxfp4},
    .unpack_rows = unpack_rows,
    .block = block,
};

constexpr Gemv few_rows = {gemv<Panel::f32, unpack_f32>,       gemv<Panel::f16, unpack_f16>,
                           gemv<Panel::bf16, unpack_bf16>,     gemv<Panel::q8_0, unpack_q8_0>,
                           gemv<Panel::q4_0, unpack_q4_0>,     gemv<Panel::iq4_nl, unpack_iq4_nl>,
                           gemv<Panel::q5_0, unpack_q5_0>,     gemv<Panel::q4_k, unpack_q4_k>,
                           gemv<Panel::q5_k, unpack_q5_k>,     gemv<Panel::q6_k, unpack_q6_k>,
                           gemv<Panel::iq4_xs, unpack_iq4_xs>, gemv<Panel::mxfp4, unpack_mxfp4>};

}  // namespace
}  // namespace portable

extern const Kernels portable_table;
constexpr Kernels portable_table =
    portable::make_table("portable", portable::few_rows, portable::gemm, portable::gemm);

}  // namespace hearth::kernels
