// ContinuedModel: a Model around a decoder that keeps memories of its own of what it has read.  The
// pages that the runner hands out hold nothing but the tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>

#include "models/model.h"
#include "models/text_side.h"

namespace hearth::adapters {

// What a decoder knows of a text it has read.  Immutable; shared by all that go on from there.
struct Memory {
  virtual ~Memory() = default;
  virtual std::uint64_t bytes() const = 0;
};
using MemoryPointer = std::shared_ptr<const Memory>;

// Used by one thread at a time.
class Decoder {
 public:
  virtual ~Decoder() = default;

  // What is known of the first `tokens` of a text of which `memory` is; nullptr: it cannot tell.
  virtual MemoryPointer cut(const Memory& memory, std::size_t tokens) const = 0;

  // Reads text[known, end) after `memory` of text[0, known) (nullptr where known is 0) and writes
  // the logits behind the places `wanted` (ascending, none before `known`): [wanted, vocabulary].
  // Returns the memory of the whole text; nullptr: it keeps none.
  virtual Result<MemoryPointer> read(ops::Context& ctx, const MemoryPointer& memory,
                                     std::size_t known, std::span<const Token> text,
                                     std::span<const std::uint32_t> wanted, std::span<float> logits,
                                     std::stop_token stop) const = 0;
};

// info.vocabulary: of the rows of logits.
std::shared_ptr<const Model> make_continued_model(std::unique_ptr<const Decoder> decoder,
                                                  ModelInfo info, models::TextSide text);

}  // namespace hearth::adapters
