// Model: the part of a tokenizer that turns one piece of text into ids.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace hearth {

struct Symbol {
  Token id;
  std::uint32_t begin;  // first byte in the piece
};

// Working memory of one encode call, reused from piece to piece.
struct Scratch {
  std::vector<Symbol> symbols;
  std::vector<std::uint32_t> ranks;
  std::vector<Token> merged;
};

// Immutable but for memories of what has been found to be true; thread-safe.
class Model {
 public:
  virtual ~Model() = default;
  // Appends the ids of `piece`, which is not empty.  `hash` is hash_bytes(piece).
  virtual void encode(std::string_view piece, std::uint64_t hash, std::vector<Token>& out,
                      Scratch& scratch) const = 0;
};

}  // namespace hearth
