// Runs: symbols of which any text can be read from a place of a grammar, such as the letters of a
// word.  Tokens that are written with them alone need not be read one by one.
#pragma once

#include <cstdint>
#include <vector>

#include "text/grammar/reading.h"
#include "text/grammar/token_trie.h"

namespace hearth::grammar {

struct Run {
  Symbols symbols;  // none: nothing is known
  std::uint32_t characters =
      0;  // of the longest such text that is known to be read, or `unlimited`
  // No text of these symbols with more characters can be read, and the rule does not end within
  // one.
  bool is_all = false;
  // What can be read after such a text of up to max_counted_characters: none other than these; all,
  // where the rule may end within one.
  Symbols leaving;
  std::uint32_t greatest_count = 0;  // of a repeat, that was come across
};
// That the same tokens are read, whatever the counts.
inline bool are_alike(const Run& a, const Run& b) {
  return a.symbols == b.symbols && a.characters == b.characters && a.is_all == b.is_all &&
         a.leaving == b.leaving;
}

// `trie`: for which symbols matter.  Finds large runs, not always the largest.
Run find_run(Reading& reading, SituationId start, const TokenTrie& trie);

// The tokens that a run decides, and what is left of the vocabulary.
struct RunTokens {
  // A node on whose way from the root there are symbols of the run alone, or the first that is
  // none.
  struct Node {
    std::uint32_t node;  // of the trie
    std::uint32_t next;  // of the same list, past all that are below
    std::uint16_t depth;
    std::uint8_t byte;  // as the trie has it
    bool leaves;        // the run: all that is below is left too
  };
  std::vector<std::uint64_t> written;  // with the run's symbols alone
  // In the trie's order: tokens with one of `leaving` after the run's symbols, and all of more than
  // max_counted_characters.
  std::vector<Node> left, longer;
};
RunTokens split(const TokenTrie& trie, const Symbols& symbols, const Symbols& leaving);

}  // namespace hearth::grammar
