// StatePool: what recurrent layers hold of sequences.  One state for every running sequence; copies
// are remembered where whole pages of a prefix end, for sequences that begin alike.
//
// A state stands for all positions before it and cannot be cut: a prefix is gone on with only where
// a copy was made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "runtime/kv_pool.h"

namespace hearth {

using StateIndex = std::uint32_t;

// Used by one thread.
class StatePool {
 public:
  // state_bytes 0: the model has no states, and nothing below is called.
  StatePool(std::size_t state_bytes, std::uint32_t max_states)
      : bytes_(state_bytes), pool_(state_bytes, max_states) {}

  bool is_needed() const { return bytes_ > 0; }

  // For one user, arbitrary inside; the copy unused for longest gives way when none is free.
  // Nothing: all are in use.
  std::optional<StateIndex> take();
  void release(StateIndex state) { free_.push_back(state); }
  std::byte* data(StateIndex state) const { return pool_.data(state); }
  void copy(StateIndex to, StateIndex from) const { pool_.copy(to, from); }

  // A copy of what stands behind the prefix `node`; none where there is no room for it.
  void remember(std::uint64_t node, StateIndex state);
  void forget(std::uint64_t node);
  bool holds(std::uint64_t node) const { return known_.contains(node); }
  // The copy, which stays until the next take() or remember(), or nothing.
  std::optional<StateIndex> find(std::uint64_t node);

  std::uint32_t made() const { return pool_.made(); }
  std::uint32_t remembered() const { return static_cast<std::uint32_t>(known_.size()); }
  std::uint32_t in_use() const {
    return pool_.made() - remembered() - static_cast<std::uint32_t>(free_.size());
  }

 private:
  struct Copy {
    StateIndex state;
    std::uint64_t used;  // when, in finds and copies
  };

  std::size_t bytes_;
  KvPool pool_;
  std::vector<StateIndex> free_;
  std::map<std::uint64_t, Copy> known_;
  std::uint64_t now_ = 0;
};

}  // namespace hearth
