// The tables that tests hold to the reference: those of the program and those made for testing.
#pragma once

#include <vector>

#include "base/cpu_features.h"
#include "kernels/select.h"

namespace hearth::kernels {

#if defined(__x86_64__)
extern const Kernels avx512_table;
extern const Gemm amx_emulated_tiles;
#endif

inline std::vector<Candidate> tables_to_test() {
  const auto list = candidates();
  std::vector<Candidate> tables(list.begin(), list.end());
#if defined(__x86_64__)
  static const Kernels emulated = with_tiles("amx-emulated", avx512_table, amx_emulated_tiles);
  tables.push_back({&emulated, [] { return detect_cpu_features().avx512_vnni; }});
#endif
  return tables;
}

}  // namespace hearth::kernels
