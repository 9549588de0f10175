// The rows of a flat index, in chunks that never change once they are seen: readers hold a snapshot
// and never wait.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/guarded.h"
#include "base/pages.h"
#include "base/result.h"
#include "vectors/index.h"
#include "vectors/row_places.h"

namespace hearth::vectors {

constexpr std::size_t chunk_rows = 4096;

// Places [0, count) are written once; beyond them the writer may be at work.
struct Chunk {
  PageBuffer data;        // [capacity, row bytes]
  std::vector<Row> rows;  // [capacity]
  std::size_t capacity = 0;
};

using DeadBits = std::vector<std::uint64_t>;  // bit i: place i is removed

// One chunk as a snapshot sees it.  Points into the snapshot.
struct ChunkView {
  const std::byte* data;
  const Row* rows;
  std::size_t count, stride;
  const DeadBits* dead;  // null: none

  bool is_dead(std::size_t i) const {
    return dead != nullptr && ((*dead)[i / 64] >> (i % 64) & 1) != 0;
  }
};

// Immutable.
struct FlatSnapshot {
  std::vector<std::shared_ptr<const Chunk>> chunks;
  std::vector<std::shared_ptr<const DeadBits>> dead;  // one for each chunk, may be null
  std::shared_ptr<const RowPlaces> places;            // row -> place, kept up by the writer
  std::size_t stride = 0, count = 0, live = 0;

  std::size_t rows_of(std::size_t chunk) const {
    return std::min(chunk_rows, count - chunk * chunk_rows);
  }
  ChunkView view(std::size_t chunk) const {
    return {chunks[chunk]->data.data(), chunks[chunk]->rows.data(), rows_of(chunk), stride,
            dead[chunk].get()};
  }
  std::vector<ChunkView> views() const;
  std::size_t memory_bytes() const;
};

// Thread-safe for any number of readers beside one writer.
class FlatRows {
 public:
  explicit FlatRows(std::size_t stride);

  std::shared_ptr<const FlatSnapshot> snapshot() const {
    return current_.with([](const auto& snapshot) { return snapshot; });
  }
  // `write(i, place)` fills the place of rows[i].  Readers see all of them or none.
  Status add(std::span<const Row> rows, const std::function<void(std::size_t, std::byte*)>& write);
  void remove(std::span<const Row> rows);
  Status compact();  // takes back the places of removed rows
  // Calls `use` with the row's bytes if it is there.
  bool with_row(Row row, const std::function<void(const std::byte*)>& use) const;

 private:
  class Draft;
  void publish(FlatSnapshot snapshot);

  Guarded<std::shared_ptr<const FlatSnapshot>> current_;
  std::shared_ptr<RowPlaces> places_;  // the same as the snapshot's
};

}  // namespace hearth::vectors
