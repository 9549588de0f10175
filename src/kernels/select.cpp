#include "kernels/select.h"

#include <fmt/core.h>

#include <string>

#include "kernels/runs_here.h"

namespace hearth::kernels {

extern const Kernels portable_table;
#if defined(__x86_64__)
extern const Kernels avx2_table, avx512_table;
extern const Gemm avxvnni_bytes, amx_tiles;
#elif defined(__aarch64__)
extern const Kernels neon_table;
extern const Gemm dotprod_rounded, dotprod_bytes, i8mm_rounded, i8mm_bytes;
#endif

namespace {

#if defined(__x86_64__)
bool amx_runs() {
  const CpuFeatures cpu = detect_cpu_features();
  return cpu.avx512_vnni && cpu.amx_bf16 && allow_amx_tiles();
}
#endif

[[maybe_unused]] Kernels with_products(const char* name, const Kernels& table, const Gemm& rounded,
                                       const Gemm& bytes) {
  Kernels result = table;
  result.name = name;
  result.rounded = &rounded;
  result.bytes = &bytes;
  return result;
}

}  // namespace

Kernels with_tiles(const char* name, const Kernels& table, const Gemm& tiles) {
  Kernels result = table;
  result.name = name;
  result.tiles = &tiles;
  return result;
}

// Best first.  To add an instruction set: one file in x86/ or arm/, its flags in module.cmake, one
// row here.
std::span<const Candidate> candidates() {
#if defined(__x86_64__)
  static const Kernels amx_table = with_tiles("amx", avx512_table, amx_tiles);
  static const Kernels avxvnni_table =
      with_products("avxvnni", avx2_table, *avx2_table.rounded, avxvnni_bytes);
#elif defined(__aarch64__)
  static const Kernels dotprod_table =
      with_products("dotprod", neon_table, dotprod_rounded, dotprod_bytes);
  static const Kernels i8mm_table = with_products("i8mm", neon_table, i8mm_rounded, i8mm_bytes);
#endif
  static const Candidate list[] = {
#if defined(__x86_64__)
      {&amx_table, amx_runs},         {&avx512_table, avx512_runs},
      {&avxvnni_table, avxvnni_runs}, {&avx2_table, avx2_runs},
#elif defined(__aarch64__)
      {&i8mm_table, i8mm_runs},
      {&dotprod_table, dotprod_runs},
      {&neon_table, always},
#endif
      {&portable_table, always},
  };
  return list;
}

Result<const Kernels*> choose(std::string_view forced) {
  std::string names;
  for (const Candidate& candidate : candidates()) {
    const bool named = forced == candidate.table->name;
    if (named && !candidate.supported())
      return Error(ErrorKind::unsupported,
                   fmt::format("cpu '{}': this processor or operating system lacks it", forced));
    if (named || (forced.empty() && candidate.supported())) return candidate.table;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", candidate.table->name);
  }
  return Error(ErrorKind::invalid, fmt::format("cpu '{}': needs one of {}", forced, names));
}

}  // namespace hearth::kernels
