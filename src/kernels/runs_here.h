// Which of the tables run on this processor; see select.h.
#pragma once

#include "base/cpu_features.h"

namespace hearth::kernels {

inline bool always() { return true; }
#if defined(__x86_64__)
inline bool avx2_runs() { return detect_cpu_features().avx2; }
inline bool avx512_runs() { return detect_cpu_features().avx512_vnni; }
#endif

}  // namespace hearth::kernels
