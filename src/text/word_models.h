// Models that look words up: WordPiece, WordLevel, and the longest match of RWKV.
#pragma once

#include <memory>
#include <span>

#include "base/result.h"
#include "text/flat_vocab.h"
#include "text/model.h"

namespace hearth {

// The longest token that begins the word, then the longest that continues it, and so on; a word
// that cannot be made so is unknown as a whole.
// Source: Devlin et al. 2018; Wu et al. 2016, section 4.1.
struct WordPieceOptions {
  FlatVocab beginnings, continuations;  // the latter without their "##"
  Token unknown = no_token;             // no_token: unknown words are left out
  std::size_t max_characters = 100;     // longer words are unknown
};
std::unique_ptr<Model> make_wordpiece(WordPieceOptions options);

std::unique_ptr<Model> make_wordlevel(FlatVocab vocab, Token unknown);

struct GreedyKey {
  std::string bytes;
  Token id;
};
// Bytes that begin no token are `unknown`.  Errors: corrupt, for more text than is read.
Result<std::unique_ptr<Model>> make_greedy(std::span<const GreedyKey> keys, Token unknown);

}  // namespace hearth
