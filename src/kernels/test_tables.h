// The tables that tests hold to the reference: those of the program and those made for testing.
#pragma once

#include <vector>

#include "base/cpu_features.h"
#include "kernels/select.h"

namespace hearth::kernels {

#if defined(__x86_64__)
extern const Kernels amx_emulated_table;
#endif

inline std::vector<Candidate> tables_to_test() {
  const auto list = candidates();
  std::vector<Candidate> tables(list.begin(), list.end());
#if defined(__x86_64__)
  tables.push_back({&amx_emulated_table, [] { return detect_cpu_features().avx512_vnni; }});
#endif
  return tables;
}

}  // namespace hearth::kernels
