// The tokenizer of llamas from before GGUF, as GGUF's metadata tells it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf_writer.h"

namespace hearth {

// Spaces as SentencePiece marks them.
std::string with_marked_spaces(std::string_view text);

// Pieces in the order of their ids; 0 to 2 are unknown, beginning and end.
class LlamaVocabulary {
 public:
  void add(std::string piece, float score, bool is_byte);
  std::vector<GgufContents::Pair> pairs() const;

 private:
  std::vector<std::string> pieces_;
  std::vector<float> scores_;
  std::vector<std::int32_t> kinds_;
};

}  // namespace hearth
