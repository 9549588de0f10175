// Best-first search of one level of a graph.  Source: Malkov and Yashunin 2018, algorithm 2.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "vectors/graph/arrays.h"

namespace hearth::vectors {

struct Found {
  std::int32_t distance;  // of codes
  Slot slot;
};

// The nearest slots so far, nearest first, each marked once its links were followed.
class Pool {
 public:
  void reset(std::size_t most);
  std::size_t size() const { return size_; }
  Found operator[](std::size_t i) const { return {places_[i].distance, places_[i].slot & ~seen}; }
  // Slots at this distance or farther would be dropped.
  std::int32_t limit() const { return limit_; }
  // distance < limit().
  void insert(std::int32_t distance, Slot slot);
  // The nearest slot not followed yet, marked; no_slot: none is left.
  Slot next();
  Slot peek() const { return cursor_ < size_ ? places_[cursor_].slot & ~seen : no_slot; }

 private:
  static constexpr Slot seen = 1u << 31;
  struct Place {
    std::int32_t distance;
    Slot slot;
  };
  std::vector<Place> places_;
  std::size_t size_ = 0, most_ = 0, cursor_ = 0;  // all places before the cursor were followed
  std::int32_t limit_ = 0;
};

// What one search needs; kept between searches, used by one at a time.
struct Scratch {
  std::vector<std::uint64_t> visited;  // one bit a slot; all zero between searches
  std::vector<Slot> touched;
  Pool pool;
  std::vector<Slot> ids;
  std::vector<std::int32_t> code_distances;
  std::vector<float> row_distances;
  std::vector<std::uint8_t> query;  // [codec.stride]
  std::vector<float> normalised;    // [dim]
  std::size_t distances = 0;        // computed since the caller set it to zero

  bool visit(Slot slot) {
    std::uint64_t& word = visited[slot / 64];
    const std::uint64_t bit = 1ull << (slot % 64);
    if (word & bit) return false;
    word |= bit;
    return true;
  }
  void forget();
};

// Walks from `from` towards the query while a link leads nearer.
Found walk_down(const Arrays& arrays, Scratch& scratch, const std::uint8_t* query, Found from,
                int level);

// Fills scratch.pool with about the `breadth` slots of `level` that are nearest to the query.  Does
// not pass through `skip`, unless it begins there.
void search_level(const Arrays& arrays, Scratch& scratch, const std::uint8_t* query,
                  std::span<const Slot> from, int level, std::size_t breadth, Slot skip = no_slot);

std::int32_t code_distance(const Arrays& arrays, const std::uint8_t* query, Slot slot);

}  // namespace hearth::vectors
