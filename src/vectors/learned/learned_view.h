// What one search of a learned index sees, and what its writers keep; private to its sources.
#pragma once

#include <chrono>

#include "vectors/learned/learned.h"

namespace hearth::vectors {

constexpr std::size_t chunk_rows = 1024;
constexpr Row no_row = ~0u;

// Rows in the order they came; full but for the last.  A slot is written before any View counts it.
struct Learned::Chunk {
  const std::byte* rows = nullptr;   // [chunk_rows, codec.row_bytes()]
  const Row* owners = nullptr;       // [chunk_rows]
  std::vector<std::byte> row_space;  // what they point into, or a file
  std::vector<Row> owner_space;
};

struct Learned::View {
  std::shared_ptr<const CodeModel> model;        // null: not trained
  std::shared_ptr<const Encoder> query_encoder;  // after feedback; null: the model's own
  std::shared_ptr<const CodeTables> tables;      // of the first slots; null as the model
  std::shared_ptr<const Table> reference;        // embeddings of the training sample
  std::vector<std::shared_ptr<Chunk>> chunks;
  std::vector<std::shared_ptr<std::vector<std::uint32_t>>> codes;  // by chunk, if trained
  std::shared_ptr<RowMap> map;
  std::shared_ptr<const MappedFile> file;  // what chunks may point into
  std::size_t used = 0;                    // slots

  const std::byte* row(Slot slot, std::size_t row_bytes) const {
    return chunks[slot / chunk_rows]->rows + slot % chunk_rows * row_bytes;
  }
  Row owner(Slot slot) const { return chunks[slot / chunk_rows]->owners[slot % chunk_rows]; }
  std::uint32_t code(Slot slot) const { return (*codes[slot / chunk_rows])[slot % chunk_rows]; }
  // Where the row of a slot is now; no_slot: removed.
  Slot resolve(Slot slot) const {
    const Slot now = map->find(owner(slot));
    return now == no_slot || now < used ? now : slot;
  }
};

struct Learned::Writer {
  std::size_t trained_rows = 0;  // when the model was trained
  std::size_t since = 0;         // the first slot added after it
  std::size_t feedback = 0;      // turns of the encoder
  std::chrono::steady_clock::time_point trained_at{};
};

}  // namespace hearth::vectors
