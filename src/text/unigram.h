// Unigram: the segmentation of greatest probability.
// Source: Kudo 2018, section 3.2; Viterbi over a trie of the vocabulary.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "text/bpe.h"

namespace hearth {

struct UnigramOptions {
  std::vector<double> scores;  // of each id in `vocab`; NaN is refused by the readers of files
  double unknown_score = 0;    // of a character without a token
  Fallback fallback;
};

// `keys`: name and id of every token that text may match.
// Errors: corrupt, when the vocabulary has more text than is read.
struct UnigramKey {
  std::string_view name;
  Token id;
};
Result<std::unique_ptr<Model>> make_unigram(std::span<const UnigramKey> keys,
                                            UnigramOptions options);

// What SentencePiece gives an unknown character: ten below the least score.
constexpr double unknown_penalty = 10.0;

}  // namespace hearth
