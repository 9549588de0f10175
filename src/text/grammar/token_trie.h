// TokenTrie: the texts of a vocabulary's tokens, sorted into a tree that is walked against a
// grammar.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "text/grammar/symbols.h"
#include "text/tokenizer.h"

namespace hearth::grammar {

// Tokens of up to so many characters are told apart by their length.
constexpr std::uint32_t max_counted_characters = 32;

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
    std::uint8_t longest;  // characters of the longest token here or below; 255: or more
    Symbols tail;          // what the tokens here and below are written with, from this byte on
  };
  std::span<const Node> nodes() const { return nodes_; }
  // All tokens here and below, with their twins.
  std::span<const Token> tokens_from(std::uint32_t node) const {
    return std::span(order_).subspan(first_[node], first_[nodes_[node].end] - first_[node]);
  }
  // The next token with the same text, or -1.
  Token twin(Token token) const { return twins_[static_cast<std::size_t>(token)]; }

  // All tokens that are written with `symbols` alone.
  std::vector<std::uint64_t> written_with(const Symbols& symbols) const;
  // All that have at most so many characters: 1 to max_counted_characters, which are all others.
  std::span<const std::uint64_t> up_to(std::uint32_t characters) const {
    return std::span(up_to_).subspan((characters - 1) * words(), words());
  }
  // How many tokens a symbol is in.
  std::uint32_t uses(std::size_t symbol) const { return uses_[symbol]; }

  const Tokenizer& tokenizer() const { return tokenizer_; }
  std::size_t vocabulary() const { return twins_.size(); }
  std::size_t words() const { return (vocabulary() + 63) / 64; }  // of a set of tokens
  std::uint32_t longest_bytes() const { return longest_bytes_; }

 private:
  struct Text;
  void build(std::span<const Text> texts);
  void summarise(std::span<const Text> texts);
  void make_sets(std::span<const Text> texts);

  const Tokenizer& tokenizer_;
  std::vector<Node> nodes_;
  std::vector<Token> twins_, order_;  // order_: as the nodes have them
  std::vector<std::uint32_t> first_;  // [nodes + 1], into order_
  // Sets of tokens, [words()] each.  with_: a tree whose leaves are the symbols: node n has the
  // tokens that one of its symbols is in, its parts are 2 n and 2 n + 1.  up_to_: by characters.
  std::vector<std::uint64_t> with_, up_to_;
  std::array<std::uint32_t, symbol_count> uses_ = {};
  std::uint32_t longest_bytes_ = 0;
};

inline bool has(std::span<const std::uint64_t> set, Token token) {
  return (set[static_cast<std::size_t>(token) / 64] >> (token % 64) & 1) != 0;
}
inline void put(std::span<std::uint64_t> set, Token token) {
  set[static_cast<std::size_t>(token) / 64] |= std::uint64_t{1} << (token % 64);
}

}  // namespace hearth::grammar
