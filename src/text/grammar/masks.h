// Masks: which tokens of a vocabulary may come at each place of one grammar, whatever its stack
// holds.
//
// Most tokens are decided by the place alone: that part is found once and kept.  For the others the
// rule may end inside the token; kept is where, and the rest of the token is read against the stack
// when the whole mask is made.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "text/grammar/mask_store.h"
#include "text/grammar/walk.h"

namespace hearth::grammar {

// Thread-safe.
class Masks {
 public:
  Masks(std::shared_ptr<const Program> program, std::shared_ptr<MaskStore> store);

  std::shared_ptr<const PlaceMask> at(StateId state, std::uint32_t count);

  const std::shared_ptr<const Program>& program() const { return program_; }
  const TokenTrie& trie() const { return store_->trie(); }
  std::size_t bytes() const;  // of what is kept
  // Finds the sets of the first places that most of the vocabulary is read at, before a token waits
  // for them.
  void prepare();

 private:
  struct Kept {
    std::map<std::pair<StateId, std::uint32_t>, std::shared_ptr<const PlaceMask>> masks;
    std::size_t bytes = 0, walker_bytes = 0;
  };
  std::shared_ptr<const PlaceMask> kept_at(StateId state, std::uint32_t count) const;
  std::uint32_t standard_count(StateId state, std::uint32_t count) const;
  std::string key_of(StateId state, std::uint32_t count, bool is_any_count) const;
  std::shared_ptr<const PlaceMask> find_at(StateId state, std::uint32_t count);
  std::shared_ptr<const PlaceMask> find(StateId state, std::uint32_t count);
  const CountedMask* counted_at(StateId state);

  const std::shared_ptr<const Program> program_;
  const std::shared_ptr<MaskStore> store_;
  const std::vector<bool> begins_time_;  // by state
  mutable Guarded<Kept> kept_;
  std::mutex finding_;  // one thread at a time finds what is not kept
  Walker walker_;
  // By state; nullptr: nothing is known of all counts.
  std::map<StateId, std::shared_ptr<const CountedMask>> counted_;
};

}  // namespace hearth::grammar
