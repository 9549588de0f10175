#include "kernels/search_select.h"

#include <fmt/core.h>

#include "kernels/runs_here.h"

namespace hearth::kernels {

extern const SearchKernels portable_search_table;
#if defined(__x86_64__)
extern const SearchKernels avx2_search_table, avx512_search_table, amx_search_table;
#elif defined(__aarch64__)
extern const SearchKernels neon_search_table, dotprod_search_table;
#endif

namespace {

#if defined(__x86_64__)
bool amx_runs() {
  const CpuFeatures cpu = detect_cpu_features();
  return cpu.avx512_vnni && cpu.amx_bf16 && cpu.amx_int8 && allow_amx_tiles();
}
#endif

}  // namespace

std::span<const SearchCandidate> search_candidates() {
  static constexpr SearchCandidate list[] = {
#if defined(__x86_64__)
      {&amx_search_table, "amx", amx_runs},
      {&avx512_search_table, "avx512", avx512_runs},
      {&avx2_search_table, "avx2", avx2_runs},
#elif defined(__aarch64__)
      {&dotprod_search_table, "i8mm", i8mm_runs},
      {&dotprod_search_table, "dotprod", dotprod_runs},
      {&neon_search_table, "neon", always},
#endif
      {&portable_search_table, "portable", always},
  };
  return list;
}

Result<const SearchKernels*> choose_search(std::string_view forced) {
  bool known = forced.empty();
  for (const SearchCandidate& candidate : search_candidates()) {
    const bool named = forced == candidate.cpu;
    known = known || named;
    if ((named || forced.empty()) && candidate.supported()) return candidate.table;
  }
  if (known)
    return Error(ErrorKind::unsupported,
                 fmt::format("cpu '{}': this processor or operating system lacks it", forced));
  return Error(ErrorKind::invalid, fmt::format("cpu '{}': there is no such table", forced));
}

const SearchKernels& best_search_kernels() {
  static const SearchKernels* const best = *choose_search("");
  return *best;
}

}  // namespace hearth::kernels
