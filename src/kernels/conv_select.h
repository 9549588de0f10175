// Which table of convolution kernels runs here; see select.h.
#pragma once

#include <span>
#include <string_view>

#include "kernels/conv.h"

namespace hearth::kernels {

struct ConvCandidate {
  const ConvKernels* table;
  bool (*supported)();
};

// Best first; the last one runs everywhere.
std::span<const ConvCandidate> conv_candidates();

// The table that goes with the main one of this name ("amx" goes with "avx512").  Thread-safe.
const ConvKernels& conv_kernels_beside(std::string_view name);

}  // namespace hearth::kernels
