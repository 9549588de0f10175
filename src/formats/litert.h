// Bundles of language models for LiteRT: `.litertlm` of LiteRT-LM and `.task` of MediaPipe hold a
// TFLite graph, its tokenizer and what is to be known of both.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/package.h"

namespace hearth {

struct LitertBundle {
  std::span<const std::byte> graph;             // of the decoder
  std::span<const std::byte> tokenizer;         // a SentencePiece model
  std::span<const std::byte> packed_tokenizer;  // a tokenizer.json, deflated
  std::span<const std::byte> metadata;          // LlmMetadata or LlmParameters
  bool is_task = false;
};

bool looks_like_litert(const std::string& path, std::span<const std::byte> bytes);
// Points into the file.  Errors: corrupt, unsupported (a model of several graphs, by name).
Result<LitertBundle> read_litert(std::span<const std::byte> file);

}  // namespace hearth
