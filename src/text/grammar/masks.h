// Masks: which tokens of a vocabulary may come at one place of a grammar, whatever its stack holds.
//
// Most tokens are decided by the place alone: that part is found once and kept.  For the others the
// rule may end inside the token; kept is where, and the rest of the token is read against the stack
// when the whole mask is made.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "text/grammar/reading.h"
#include "text/grammar/run.h"
#include "text/grammar/token_trie.h"

namespace hearth::grammar {

// What a mask says of the same place at later counts of its repeat, each time of which is one
// character: a token can be read while there is room for what it needs.
struct LaterCounts {
  struct Late {
    std::uint32_t item, needs;  // a token or a node; times of the repeat
  };
  std::vector<std::uint64_t> set;  // of the first count
  std::vector<Late> late;  // tokens that need less than they have characters, the least first
  std::vector<Late> ends;  // nodes, as PlaceMask::ends
};

struct PlaceMask {
  std::vector<std::uint64_t> set;  // accepted tokens; empty when `few` holds them
  std::vector<Token> few;
  std::vector<std::uint32_t> ends;  // nodes of the trie at which the rule may end, with more below
  std::shared_ptr<const LaterCounts> later;  // nullptr: nothing is known of other counts
  std::size_t bytes() const {
    const std::size_t more =
        later ? later->set.size() * 8 + (later->late.size() + later->ends.size()) * 8 : 0;
    return sizeof *this + set.size() * 8 + few.size() * 4 + ends.size() * 4 + more;
  }
};

// Of one vocabulary, for all grammars: places that read alike share a mask.  Thread-safe.
class MaskStore {
 public:
  explicit MaskStore(const Tokenizer& tokenizer) : trie_(tokenizer) {}
  const TokenTrie& trie() const { return trie_; }

  std::shared_ptr<const PlaceMask> find(const std::string& key) const;
  void keep(const std::string& key, std::shared_ptr<const PlaceMask> mask);
  std::shared_ptr<const RunTokens> split(const Symbols& symbols, bool has_longer);

 private:
  using SplitKey = std::pair<std::string, bool>;
  struct Kept {
    std::map<std::string, std::shared_ptr<const PlaceMask>> masks;
    std::map<SplitKey, std::shared_ptr<const RunTokens>> splits;
    std::size_t bytes = 0;
  };
  const TokenTrie trie_;
  mutable Guarded<Kept> kept_;
};

// Of one grammar and one vocabulary.  Thread-safe.
class Masks {
 public:
  Masks(std::shared_ptr<const Program> program, std::shared_ptr<MaskStore> store)
      : program_(std::move(program)), store_(std::move(store)) {}

  // `scratch`: a reading of the same program, of the calling thread.
  std::shared_ptr<const PlaceMask> at(StateId state, std::uint32_t count, Reading& scratch);

  const std::shared_ptr<const Program>& program() const { return program_; }
  const TokenTrie& trie() const { return store_->trie(); }
  std::size_t made() const;   // masks that had to be found
  std::size_t bytes() const;  // of what is kept
  // Finds the sets of the first places that most of the vocabulary is read at, before a token waits
  // for them.
  void prepare();

 private:
  struct Kept {
    std::map<std::pair<StateId, std::uint32_t>, std::shared_ptr<const PlaceMask>> masks;
    std::size_t bytes = 0, made = 0;
  };
  std::uint32_t standard_count(StateId state, std::uint32_t count) const;
  std::string key_of(StateId state, std::uint32_t count) const;
  std::shared_ptr<const PlaceMask> find(StateId state, std::uint32_t count, Reading& scratch);

  const std::shared_ptr<const Program> program_;
  const std::shared_ptr<MaskStore> store_;
  mutable Guarded<Kept> kept_;
};

}  // namespace hearth::grammar
