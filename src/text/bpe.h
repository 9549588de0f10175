// Byte-pair encodings: by a list of merges (GPT-2, Llama 3, Qwen, ...) and by the rank of the
// whole (tiktoken, SentencePiece).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "text/flat_vocab.h"
#include "text/model.h"

namespace hearth {

// What becomes of text that the vocabulary lacks.
struct Fallback {
  Token bytes[256];          // no_token: that byte has none
  bool use_bytes = false;    // a character without a token becomes the tokens of its bytes
  Token unknown = no_token;  // otherwise this; no_token: it is left out
  bool fuse_unknown = false;

  Fallback() { std::fill_n(bytes, 256, no_token); }
  // Appends what stands for one character, or for a text, that the vocabulary lacks.
  void append(std::string_view character, std::uint32_t begin, std::vector<Symbol>& symbols) const;
  // `first`: where the ids of the piece begin in `out`.
  void append(std::string_view text, std::vector<Token>& out, std::size_t first) const;

 private:
  bool has_bytes(std::string_view text) const;
};

struct MergeRule {
  Token left, right, whole;
};

struct MergeBpeOptions {
  bool bytes = false;           // symbols start as bytes; otherwise as characters
  bool whole_first = false;     // a piece that is a token is that token, whatever the merges say
  bool whole_newlines = false;  // the same, for pieces of nothing but \n
  std::string continuing_prefix, end_suffix;  // that tokens within, or at the end of, a word carry
  Fallback fallback;
};

// `vocab` holds the keys that text may match.  Of equal pairs in `rules` the last counts, as in
// Hugging Face's; the rank of a rule is its index.
std::unique_ptr<Model> make_merge_bpe(FlatVocab vocab, std::span<const MergeRule> rules,
                                      MergeBpeOptions options);

struct RankBpeOptions {
  bool bytes = false;
  bool whole_first = false;
  Fallback fallback = {};
  std::vector<std::uint32_t> ranks = {};  // of each id in `vocab`
  std::vector<bool> unused =
      {};  // ids that merges pass through but that never come out; may be empty
};
std::unique_ptr<Model> make_rank_bpe(FlatVocab vocab, RankBpeOptions options);

// A rank that falls as the score rises; NaN is last.
std::uint32_t rank_of_score(float score);

}  // namespace hearth
