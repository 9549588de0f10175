// TokenTrie: the texts of a vocabulary's tokens, sorted into a tree that is walked against a
// grammar.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/tokenizer.h"

namespace hearth::grammar {

// Immutable; thread-safe.  Control tokens, ends of generation and tokens without text are not in
// it: no text matches them.  Keeps a reference to the tokenizer.
class TokenTrie {
 public:
  explicit TokenTrie(const Tokenizer& tokenizer);

  // In the order in which a walk meets them: a node, then everything below it.
  struct Node {
    std::uint32_t end;     // the first node that is not below this one
    Token token;           // that ends here, or -1
    std::uint16_t depth;   // bytes from the beginning: 1, 2, ...
    std::uint8_t byte;     // the last of them
    std::uint8_t longest;  // characters of the longest plain token here or below; 0: none
    bool has_other;        // a token here or below is not plain
  };
  std::span<const Node> nodes() const { return nodes_; }
  // The next token with the same text, or -1.
  Token twin(Token token) const { return twins_[static_cast<std::size_t>(token)]; }

  const Tokenizer& tokenizer() const { return tokenizer_; }
  std::size_t vocabulary() const { return twins_.size(); }
  std::size_t words() const { return (vocabulary() + 63) / 64; }  // of a set of tokens
  std::uint32_t longest_bytes() const { return longest_bytes_; }
  std::uint32_t longest_plain() const { return longest_plain_; }  // characters
  // Plain tokens (whole characters that may stand in a JSON string as they are) by length.
  struct Plain {
    Token token;
    std::uint32_t characters;
  };
  std::span<const Plain> plain() const { return plain_; }

 private:
  struct Text;
  void build(std::span<const Text> texts);
  void summarise();

  const Tokenizer& tokenizer_;
  std::vector<Node> nodes_;
  std::vector<Token> twins_;
  std::vector<std::uint8_t> characters_;  // of each plain token; 0: not plain
  std::vector<Plain> plain_;              // shortest first
  std::uint32_t longest_bytes_ = 0, longest_plain_ = 0;
};

inline bool has(std::span<const std::uint64_t> set, Token token) {
  return (set[static_cast<std::size_t>(token) / 64] >> (token % 64) & 1) != 0;
}
inline void put(std::span<std::uint64_t> set, Token token) {
  set[static_cast<std::size_t>(token) / 64] |= std::uint64_t{1} << (token % 64);
}

}  // namespace hearth::grammar
