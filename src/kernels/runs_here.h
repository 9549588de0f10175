// Which of the tables run on this processor; see select.h.
#pragma once

#include <string_view>

#include "base/cpu_features.h"

namespace hearth::kernels {

inline bool always() { return true; }
#if defined(__x86_64__)
inline bool avx2_runs() { return detect_cpu_features().avx2; }
inline bool avxvnni_runs() { return detect_cpu_features().avx_vnni; }
inline bool avx512_runs() { return detect_cpu_features().avx512_vnni; }
#elif defined(__aarch64__)
inline bool dotprod_runs() { return detect_cpu_features().dot_product; }
inline bool i8mm_runs() { return dotprod_runs() && detect_cpu_features().int8_matmul; }
#endif

// Some tables of multiplications share all others with one that came before them.
inline std::string_view without_products(std::string_view name) {
  if (name.starts_with("amx")) return "avx512";
  if (name == "avxvnni") return "avx2";
  return name == "i8mm" ? "dotprod" : name;
}

}  // namespace hearth::kernels
