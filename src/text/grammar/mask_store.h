// MaskStore: what has been found of the tokens of one vocabulary, for all grammars.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "text/grammar/run.h"
#include "text/grammar/token_trie.h"

namespace hearth::grammar {

// Which tokens may come at one place of a grammar, whatever its stack holds.
struct PlaceMask {
  std::vector<std::uint64_t> set;  // accepted tokens; empty when `few` holds them
  std::vector<Token> few;
  std::vector<std::uint32_t> ends;  // nodes of the trie at which the rule may end, with more below
  // Of a repeat, that a token comes across: at greater counts, as long as this one does not come to
  // the repeat's end, the tokens are the same.
  std::uint32_t greatest_count = unlimited;
  std::size_t bytes() const {
    return sizeof *this + set.size() * 8 + few.size() * 4 + ends.size() * 4;
  }
};
// `ends`: in the trie's order; those that `set` leaves nothing of are left out.
PlaceMask make_mask(const TokenTrie& trie, std::vector<std::uint64_t> set,
                    const std::vector<std::uint32_t>& ends);

// The same where a time of a counted repeat begins, for every count of it and whatever its bounds:
// what a token needs of them.
struct CountedMask {
  struct Item {
    std::uint32_t item, times;  // a token or a node, and the times of the repeat it takes
  };
  std::vector<std::uint64_t> set;  // tokens that can be read while enough times may come
  std::vector<Item> fewer;         // those of fewer times than characters, the fewest first
  std::vector<Item> leaving;       // those that end behind the repeat, the fewest first
  std::vector<Item> ends;          // nodes, as PlaceMask::ends
  std::size_t bytes() const {
    return sizeof *this + set.size() * 8 +
           (fewer.size() + leaving.size() + ends.size()) * sizeof(Item);
  }
};
// Where the repeat must come at least `least` times more and may come `most` times, above 0.
PlaceMask at_count(const CountedMask& mask, std::uint32_t least, std::uint32_t most,
                   const TokenTrie& trie);

// Places that read alike share what is kept.  Thread-safe.
class MaskStore {
 public:
  explicit MaskStore(const Tokenizer& tokenizer) : trie_(tokenizer) {}
  const TokenTrie& trie() const { return trie_; }

  // nullptr: none is kept.
  std::shared_ptr<const PlaceMask> mask(const std::string& key) const;
  std::shared_ptr<const CountedMask> counted(const std::string& key) const;
  void keep(const std::string& key, std::shared_ptr<const PlaceMask> mask);
  void keep(const std::string& key, std::shared_ptr<const CountedMask> mask);
  // As grammar::split.
  std::shared_ptr<const RunTokens> split(const Symbols& symbols, const Symbols& leaving);

 private:
  template <typename Mask>
  using ByKey = std::map<std::string, std::shared_ptr<const Mask>>;
  struct Kept {
    ByKey<PlaceMask> masks;
    ByKey<CountedMask> counted;
    ByKey<RunTokens> splits;
    std::size_t bytes = 0;  // of masks and counted
  };
  template <typename Mask>
  void keep_in(ByKey<Mask> Kept::* place, const std::string& key, std::shared_ptr<const Mask> mask);

  const TokenTrie trie_;
  mutable Guarded<Kept> kept_;
};

}  // namespace hearth::grammar
