// Vectors of texts, for the embedding routes of all interfaces.
#pragma once

#include <stop_token>

#include "library/library.h"
#include "server/prompts.h"

namespace hearth::server {

constexpr std::size_t max_embedding_inputs = 2048;

struct EmbeddingWish {
  bool truncate = false;                   // cut inputs that are too long
  std::optional<std::int64_t> dimensions;  // keep the first ones of these
  std::string_view param = "input";        // the field that errors name
};

struct Embedded {
  std::vector<std::vector<float>> vectors;
  std::int64_t tokens = 0;
  bool is_cut = false;  // an input was too long
};

Checked<Embedded> embed_inputs(const LoadedModel& loaded, const std::vector<TextOrTokens>& inputs,
                               const EmbeddingWish& wish, std::stop_token stop);

}  // namespace hearth::server
