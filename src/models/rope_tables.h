// RopeTables: rotation angles of a model, its scaling applied.
// Source: Su et al. 2021; Peng et al. 2023 (yarn); Ding et al. 2024 (longrope); the Llama 3.1
// release (llama3).
#pragma once

#include <vector>

#include "models/weights.h"
#include "ops/elementwise.h"

namespace hearth::models {

struct RopeTables {
  std::uint32_t rotary_dims = 0, local_rotary_dims = 0;
  bool interleaved = false;
  std::vector<float> frequencies, local_frequencies;  // [rotary_dims / 2]
  float magnitude = 1, local_magnitude = 1;

  // Points into this.
  ops::RopeTable table(bool local) const {
    return {local ? local_rotary_dims : rotary_dims, interleaved,
            local ? local_frequencies : frequencies, local ? local_magnitude : magnitude};
  }
};

// What the frequencies of a llama3 scaling are divided by, as GGUF files carry it.
std::vector<float> llama3_divisors(const RopeHyper& rope, std::uint32_t dims);

// The longest sequence that will be run decides between the short and long factors of longrope and
// how far dynamic scaling stretches.
RopeTables make_rope_tables(const ArchSpec& spec, const Hyper& hyper, const Weights& weights,
                            Naming naming, std::uint32_t context_tokens);

}  // namespace hearth::models
