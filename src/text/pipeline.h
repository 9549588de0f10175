// The one Tokenizer: added tokens, normalizer, pre-tokenizer, model, frame, decoder, in that order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/model.h"
#include "text/normalizer.h"
#include "text/pretokenizer/pretokenizer.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace hearth {

// Ids to text, where joining pieces is not enough.  Immutable; thread-safe.
class Decoder {
 public:
  virtual ~Decoder() = default;
  // `tokens`: the names of a sequence.
  virtual std::string decode(std::vector<std::string> tokens) const = 0;
};

struct Pipeline {
  std::string algorithm;
  Vocabulary vocabulary;
  SpecialTokens special;
  bool any_bytes = true;  // otherwise invalid UTF-8 becomes U+FFFD before anything else

  AddedTokens added;                       // found in the text itself
  std::unique_ptr<Normalizer> normalizer;  // null: none
  AddedTokens added_after;                 // found in normalized text
  PreTokenizer pretokenizer;
  std::unique_ptr<Model> model;
  std::vector<Token> before, after;  // what add_special puts around a sequence

  std::unique_ptr<Decoder> decoder;  // null: pieces are joined
  bool strip_first_space = false;    // of the joined text
};

std::unique_ptr<Tokenizer> make_tokenizer(Pipeline pipeline);

}  // namespace hearth
