#include "formats/llama_vocabulary.h"

namespace hearth {

std::string with_marked_spaces(std::string_view text) {
  std::string marked;
  for (const char c : text)
    if (c == ' ')
      marked += "\u2581";
    else
      marked += c;
  return marked;
}

void LlamaVocabulary::add(std::string piece, float score, bool is_byte) {
  const std::size_t id = pieces_.size();
  if (id == 0) piece = "<unk>";
  if (id == 1) piece = "<s>";
  if (id == 2) piece = "</s>";
  kinds_.push_back(id == 0 ? 2 : id <= 2 ? 3 : is_byte ? 6 : 1);
  pieces_.push_back(std::move(piece));
  scores_.push_back(score);
}

std::vector<GgufContents::Pair> LlamaVocabulary::pairs() const {
  const std::vector<std::string_view> views(pieces_.begin(), pieces_.end());
  return {
      {"tokenizer.ggml.model", GgufValue::text("llama")},
      {"tokenizer.ggml.tokens", GgufValue::texts(views)},
      {"tokenizer.ggml.scores", GgufValue::array<float>(scores_)},
      {"tokenizer.ggml.token_type", GgufValue::array<std::int32_t>(kinds_)},
      {"tokenizer.ggml.bos_token_id", GgufValue::of(std::uint32_t{1})},
      {"tokenizer.ggml.eos_token_id", GgufValue::of(std::uint32_t{2})},
  };
}

}  // namespace hearth
