#include "kernels/encode_select.h"

#include "kernels/runs_here.h"

namespace hearth::kernels {

extern const Encoders portable_encoders;
extern const GridEncoders portable_grid_encoders;
#if defined(__x86_64__)
extern const Encoders avx2_encoders, avx512_encoders;
extern const GridEncoders avx2_grid_encoders, avx512_grid_encoders;
#endif

std::span<const EncodeCandidate> encode_candidates() {
  static constexpr EncodeCandidate list[] = {
#if defined(__x86_64__)
      {&avx512_encoders, &avx512_grid_encoders, avx512_runs},
      {&avx2_encoders, &avx2_grid_encoders, avx2_runs},
#endif
      {&portable_encoders, &portable_grid_encoders, always},
  };
  return list;
}

const EncodeCandidate& best_encoders() {
  static const EncodeCandidate* const best = [] {
    for (const EncodeCandidate& candidate : encode_candidates())
      if (candidate.supported()) return &candidate;
    return &encode_candidates().back();
  }();
  return *best;
}

}  // namespace hearth::kernels
