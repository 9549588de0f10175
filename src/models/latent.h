// Attention through a latent of keys and values, on ops: every head reads the latent itself, so
// that it alone is kept.  What the heads would make of it is put into their queries and results.
// Source: DeepSeek-AI 2024 (V2), section 2.1.3.
#pragma once

#include "models/trunk.h"

namespace hearth::models {

struct LatentParts {
  View q;  // [rows, heads * (kv_rank + turning)]
  View k;  // [rows, kv_rank + turning]
  View v;  // [rows, kv_rank]
};

// Of the normed stream; positions are in the parts that turn.
LatentParts read_latent_parts(ops::Context& ctx, const Trunk& trunk, std::size_t layer, View x,
                              std::span<const std::uint32_t> positions, Arena& arena);

// From a mix of latents [rows, heads * kv_rank] to one of values [rows, heads * value_dim].
View expand_latents(ops::Context& ctx, const Trunk& trunk, std::size_t layer, View mixed,
                    Arena& arena);

}  // namespace hearth::models
