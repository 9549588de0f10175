// Which table of encoders runs here; see select.h.
#pragma once

#include <span>

#include "kernels/encode.h"

namespace hearth::kernels {

struct EncodeCandidate {
  const Encoders* plain;
  const GridEncoders* grids;
  bool (*supported)();
};

// Best first; the last one runs everywhere.
std::span<const EncodeCandidate> encode_candidates();

// The best supported tables, looked for once.  Thread-safe.
const EncodeCandidate& best_encoders();

}  // namespace hearth::kernels
