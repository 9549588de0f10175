#include "kernels/conv_select.h"

#include "kernels/runs_here.h"

namespace hearth::kernels {

extern const ConvKernels portable_conv_table;
#if defined(__x86_64__)
extern const ConvKernels avx2_conv_table, avx512_conv_table;
#elif defined(__aarch64__)
extern const ConvKernels neon_conv_table, dotprod_conv_table;
#endif

std::span<const ConvCandidate> conv_candidates() {
  static constexpr ConvCandidate list[] = {
#if defined(__x86_64__)
      {&avx512_conv_table, avx512_runs},
      {&avx2_conv_table, avx2_runs},
#elif defined(__aarch64__)
      {&dotprod_conv_table, dotprod_runs},
      {&neon_conv_table, always},
#endif
      {&portable_conv_table, always},
  };
  return list;
}

const ConvKernels& conv_reference() { return portable_conv_table; }

const ConvKernels& conv_kernels_beside(std::string_view name) {
  name = without_products(name);
  for (const ConvCandidate& candidate : conv_candidates())
    if (candidate.table->name == name && candidate.supported()) return *candidate.table;
  return portable_conv_table;
}

}  // namespace hearth::kernels
