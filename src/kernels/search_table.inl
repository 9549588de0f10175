// The table of one instruction set, from the functions of its namespace.  Included last.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr SearchKernels make_search_table(const char* name) {
  return {
      .name = name,
      .l2 = {distances<Measure::l2, float>, distances<Measure::l2, u16>,
             distances<Measure::l2, Bf16>},
      .dot = {distances<Measure::dot, float>, distances<Measure::dot, u16>,
              distances<Measure::dot, Bf16>},
      .l2_at = {distances_at<Measure::l2, float>, distances_at<Measure::l2, u16>,
                distances_at<Measure::l2, Bf16>},
      .dot_at = {distances_at<Measure::dot, float>, distances_at<Measure::dot, u16>,
                 distances_at<Measure::dot, Bf16>},
      .dots_u8 = dots_u8,
      .dots_u8_at = dots_u8_at,
      .hamming = hamming,
      .dots_panels = dots_panels,
      .nearest = nearest,
      .panel_keys = panel_keys,
      .near_pairs = near_pairs,
      .at_most = at_most,
      .sign_tables = sign_tables,
      .scan_codes = scan_codes,
      .to_bytes = to_bytes,
      .sum = sum_of,
      .hadamard = hadamard,
  };
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
