// AddedTokens: tokens that are found in text before anything else is done to it.
// Source: Hugging Face tokenizers, AddedToken: the leftmost match counts, the longest of equals.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/byte_trie.h"
#include "text/flat_vocab.h"

namespace hearth {

struct AddedToken {
  std::string content;
  Token id = no_token;
  bool special = false;                 // found only where special tokens are parsed
  bool single_word = false;             // not beside a letter, digit or underscore
  bool lstrip = false, rstrip = false;  // takes the white space before, after it
};

class AddedTokens {
 public:
  // Longer contents would make a search slow; none is near.
  static constexpr std::size_t max_content_bytes = 1024;

  AddedTokens() = default;
  // Empty contents are left out.  Errors: corrupt, for a content past the limit.
  static Result<AddedTokens> make(std::vector<AddedToken> tokens);

  struct Segment {
    std::string_view text;
    Token id;  // no_token: text between tokens, not empty
  };
  // Where special tokens count.
  struct Trust {
    bool parse_special = false;
    std::span<const TextRange> untrusted = {};  // of the text
    bool covers(TextRange range) const;
  };
  void split(std::string_view text, const Trust& trust, std::vector<Segment>& out) const;
  bool empty() const { return tokens_.empty(); }

 private:
  struct Match {
    const AddedToken* token = nullptr;
    std::size_t size = 0;
  };
  Match longest_at(std::string_view text, std::size_t at, const Trust& trust) const;

  std::vector<AddedToken> tokens_;
  ByteTrie trie_;  // contents to places in tokens_
  bool begins_[256] = {};
};

}  // namespace hearth
