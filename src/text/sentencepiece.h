// What models made by SentencePiece share, in their own files and in GGUF.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/byte_trie.h"
#include "text/charsmap.h"
#include "text/pipeline.h"

namespace hearth {

struct SentencePieceRules {
  CharsMap charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  bool whitespace_as_suffix = false;
  std::vector<std::string> user_defined;  // kept as they are
};
// Source: google/sentencepiece, Normalizer::Normalize.
Result<std::unique_ptr<Normalizer>> make_sentencepiece_normalizer(SentencePieceRules rules);

// Names to text: visible spaces become spaces, bytes are joined, the first space is left out where
// the rules put one there.  Source: SentencePieceProcessor::Decode.
std::unique_ptr<Decoder> make_sentencepiece_decoder(const SentencePieceRules& rules);

// The Unigram model over the text tokens of a vocabulary; unused ones never come out.
// Errors: corrupt, for a score that is no number.
Result<std::unique_ptr<Model>> make_sentencepiece_unigram(const Vocabulary& vocabulary,
                                                          std::span<const float> scores,
                                                          Token unknown, bool byte_fallback);
// The BPE model.
std::unique_ptr<Model> make_sentencepiece_bpe(const Vocabulary& vocabulary,
                                              std::span<const float> scores, Token unknown,
                                              bool byte_fallback);

}  // namespace hearth
