// Changes to the links of a graph, in place, beside readers: insertion in batches, and repair where
// rows were removed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "base/thread_pool.h"
#include "vectors/graph/arrays.h"
#include "vectors/graph/beam.h"

namespace hearth::vectors {

// Where every search begins: a slot of the highest level.
struct Entry {
  Slot slot = no_slot;
  int level = 0;
};

// The writer's view of a graph; used by one thread, which may lend it a team.
class Linker {
 public:
  struct Options {
    std::size_t breadth = 160;  // of the search for candidates: ef_construction
    ThreadPool* team = nullptr;
  };
  // scratch: one for each thread of the team, at least one.
  Linker(Arrays& arrays, std::span<std::unique_ptr<Scratch>> scratch, const Options& options)
      : arrays_(arrays), scratch_(scratch), options_(options) {}

  // Links slots whose code, row and (empty) lists are complete, all at once: they do not see one
  // another.  Their levels are at most the entry's, unless there is only one.
  void insert(std::span<const Slot> slots, Entry entry, const std::vector<bool>& dead);

  // Takes the dead slots below `used` out of every list; what they linked to stands in for them.
  Status repair(std::size_t used, const std::vector<bool>& dead, std::stop_token stop);

  // Links the slots that cannot be reached from the entry on level 0; how many there were.
  std::size_t reconnect(std::size_t used, Entry entry, const std::vector<bool>& dead);

 private:
  using Body = void (Linker::*)(std::size_t begin, std::size_t end, Scratch& scratch);
  template <typename F>
  void each(std::size_t n, std::size_t chunk, F&& body);

  const std::uint8_t* query_of(Slot slot, std::vector<std::uint8_t>& space) const;
  std::size_t choose(std::span<const Found> candidates, std::size_t most, Slot* chosen) const;
  void link_one(Slot slot, Entry entry, const std::vector<bool>& dead, Scratch& scratch);
  void link_back(std::span<const Slot> slots, int level);
  void merge(Slot target, int level, std::span<const Slot> more);
  void shorten(Slot slot, int level, std::span<const Slot> candidates);
  void repair_one(Slot slot, int level, const std::vector<bool>& dead);

  Arrays& arrays_;
  std::span<std::unique_ptr<Scratch>> scratch_;
  Options options_;
};

}  // namespace hearth::vectors
