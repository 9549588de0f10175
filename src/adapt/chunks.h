// A text as chunks of tokens that a model reads one by one, each from an empty context.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "models/model.h"

namespace hearth::adapt {

// Of at most so many tokens each, the last ones that fill no chunk left out.  A model that begins
// texts with a token of its own gets it in front of every chunk.
// Errors: invalid (a text that fills no chunk).
Result<std::vector<std::vector<Token>>> chunks_of(const Model& model, const std::string& text,
                                                  std::uint32_t tokens, std::uint32_t most);

// Runs whole chunks; memory for keys and values is kept between them.
class ChunkRunner {
 public:
  ChunkRunner(ops::Context& ctx, const Model& model, std::uint32_t tokens);

  // Logits [tokens - first, vocabulary] of the rows from `first` on; valid until the next call.
  Result<std::span<const float>> run(std::span<const Token> tokens, std::uint32_t first,
                                     std::stop_token stop);

 private:
  ops::Context& ctx_;
  const Model& model_;
  std::vector<std::byte> memory_, state_;
  std::vector<std::byte*> pages_;
  std::vector<float> logits_;
};

}  // namespace hearth::adapt
