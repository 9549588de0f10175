#include "vectors/graph/beam.h"

#include <cstring>
#include <limits>

namespace hearth::vectors {

void Pool::reset(std::size_t most) {
  if (places_.size() < most + 1) places_.resize(most + 1);
  size_ = 0;
  most_ = most;
  cursor_ = 0;
  limit_ = std::numeric_limits<std::int32_t>::max();
}

void Pool::insert(std::int32_t distance, Slot slot) {
  Place* const places = places_.data();
  std::size_t low = 0, high = size_;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    const bool after = places[middle].distance <= distance;
    low = after ? middle + 1 : low;
    high = after ? high : middle;
  }
  std::memmove(places + low + 1, places + low, (size_ - low) * sizeof(Place));
  places[low] = {distance, slot};
  if (size_ < most_) ++size_;
  if (size_ == most_) limit_ = places[size_ - 1].distance;
  if (low < cursor_) cursor_ = low;
}

Slot Pool::next() {
  if (cursor_ >= size_) return no_slot;
  const Slot slot = places_[cursor_].slot;
  places_[cursor_].slot |= seen;
  while (++cursor_ < size_ && (places_[cursor_].slot & seen) != 0) {
  }
  return slot;
}

void Scratch::forget() {
  for (const Slot slot : touched) visited[slot / 64] = 0;
  touched.clear();
}

std::int32_t code_distance(const Arrays& arrays, const std::uint8_t* query, Slot slot) {
  std::int32_t distance;
  arrays.code_distances(&distance, query, &slot, 1);
  return distance;
}

Found walk_down(const Arrays& arrays, Scratch& scratch, const std::uint8_t* query, Found from,
                int level) {
  scratch.ids.resize(arrays.degree(0));
  scratch.code_distances.resize(arrays.degree(0));
  for (bool nearer = true; nearer;) {
    nearer = false;
    const std::size_t n = arrays.at(from.slot, level).copy(scratch.ids.data());
    arrays.code_distances(scratch.code_distances.data(), query, scratch.ids.data(), n);
    scratch.distances += n;
    for (std::size_t i = 0; i < n; ++i)
      if (scratch.code_distances[i] < from.distance) {
        from = {scratch.code_distances[i], scratch.ids[i]};
        nearer = true;
      }
  }
  return from;
}

void search_level(const Arrays& arrays, Scratch& scratch, const std::uint8_t* query,
                  std::span<const Slot> from, int level, std::size_t breadth, Slot skip) {
  Pool& pool = scratch.pool;
  pool.reset(breadth);
  if (scratch.visited.size() < arrays.capacity / 64 + 1)
    scratch.visited.resize(arrays.capacity / 64 + 1);
  scratch.ids.resize(arrays.degree(0) + 1);
  scratch.code_distances.resize(arrays.degree(0));
  Slot* const ids = scratch.ids.data();
  std::int32_t* const distances = scratch.code_distances.data();
  for (const Slot slot : from) {
    if (!scratch.visit(slot)) continue;
    scratch.touched.push_back(slot);
    const std::int32_t distance = code_distance(arrays, query, slot);
    if (distance < pool.limit()) pool.insert(distance, slot);
  }
  if (skip != no_slot && scratch.visit(skip)) scratch.touched.push_back(skip);
  std::uint64_t* const visited = scratch.visited.data();
  for (Slot slot; (slot = pool.next()) != no_slot;) {
    const Links links = arrays.at(slot, level);
    std::size_t n = 0;
    for (std::size_t i = 0; i < links.degree(); ++i) {
      const Slot link = links[i];
      if (link == no_slot) break;
      std::uint64_t& word = visited[link / 64];
      const std::uint64_t bit = 1ull << (link % 64);
      ids[n] = link;
      n += (word & bit) == 0;
      word |= bit;
    }
    scratch.touched.insert(scratch.touched.end(), ids, ids + n);
    if (level == 0 && pool.peek() != no_slot) {
      const char* ahead =
          reinterpret_cast<const char*>(arrays.links + pool.peek() * links.degree());
      __builtin_prefetch(ahead);
      __builtin_prefetch(ahead + 64);
    }
    arrays.code_distances(distances, query, ids, n);
    scratch.distances += n;
    for (std::size_t i = 0; i < n; ++i)
      if (distances[i] < pool.limit()) pool.insert(distances[i], ids[i]);
  }
  scratch.forget();
}

}  // namespace hearth::vectors
