// A segment: documents in one file that never changes.  docs/formats/collection.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/disk.h"
#include "vectors/index.h"
#include "vectors/store/log.h"

namespace hearth::vectors {

// A document as it lies in a segment or the log.  Points into them, or into `owner`.
struct DocumentView {
  std::string_view id, text, metadata;
  std::span<const float> vector;
  std::shared_ptr<const StoredDocument> owner = {};  // of a cold one
};

// Where the documents of a segment are.
enum class Tier {
  hot,   // in memory
  warm,  // in a mapped file: pages come when they are touched
  cold,  // in a database of SQLite, fetched one by one
};
std::string_view name_of(Tier tier);

// Writes a segment.  Rows must ascend.  The file counts only once commit() has returned.
class SegmentWriter {
 public:
  static Result<SegmentWriter> create(Files& files, const std::string& path, std::size_t dim,
                                      std::uint64_t store_id);

  Status add(Row row, const DocumentView& document);
  // dead: rows of other segments that died while these documents were written.
  Status commit(std::span<const Row> dead);
  std::size_t count() const { return rows_.size(); }
  std::uint64_t bytes() const { return written_; }

 private:
  SegmentWriter(std::unique_ptr<AppendFile> file, std::size_t dim, std::uint64_t store_id)
      : file_(std::move(file)), dim_(dim), store_id_(store_id) {}

  Status write(std::span<const std::byte> bytes);
  Status flush();
  Status align();

  std::unique_ptr<AppendFile> file_;
  std::size_t dim_;
  std::uint64_t store_id_;
  std::string buffer_;
  std::uint64_t written_ = 0;
  std::uint32_t chunk_crc_ = 0;
  std::vector<std::uint32_t> chunk_crcs_;
  std::vector<Row> rows_;
  std::vector<std::uint64_t> offsets_;  // of each document
};

class ColdDocuments;

// Immutable but for which parts have been checked; thread-safe.  Every part of the file is checked
// against its checksum before the first byte of it is used; a part that fails is an error for those
// who ask for it, and for nobody else.
class Segment {
 public:
  // What SegmentWriter wrote, in memory or mapped, or what write_cold() wrote: then it is cold,
  // whatever was asked.  Errors: corrupt: not a segment of this store, cut short, or its tables are
  // damaged.
  static Result<std::shared_ptr<const Segment>> open(Files& files, const std::string& path,
                                                     std::size_t dim, std::uint64_t store_id,
                                                     Tier tier = Tier::warm);
  ~Segment();

  Tier tier() const { return tier_; }
  std::span<const Row> rows() const { return rows_; }
  std::span<const Row> dead() const { return dead_; }
  std::size_t dim() const { return dim_; }
  std::uint64_t bytes() const { return bytes_.size(); }
  const std::string& path() const { return path_; }

  // The place of a row in rows(), or -1.
  std::ptrdiff_t find(Row row) const;
  Result<DocumentView> document(std::size_t place) const;
  Result<std::string_view> id(std::size_t place) const;

  // How often its documents were asked for of late.
  void note_use() const { uses_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t uses() const { return uses_.load(std::memory_order_relaxed); }
  void set_uses(std::uint64_t uses) const { uses_.store(uses, std::memory_order_relaxed); }

 private:
  Segment();
  Status check(std::uint64_t offset, std::uint64_t size) const;
  Status read_footer(std::uint64_t store_id);

  std::string path_;
  std::size_t dim_ = 0;
  Tier tier_ = Tier::warm;
  std::shared_ptr<const MappedFile> file_;  // null: hot
  std::string held_;                        // the file's bytes: hot
  std::unique_ptr<const ColdDocuments> cold_;
  std::span<const std::byte> bytes_;
  std::span<const Row> rows_, dead_;
  std::span<const std::uint64_t> offsets_;
  std::span<const std::uint32_t> chunk_crcs_;
  std::uint64_t data_bytes_ = 0;  // what the chunks' checksums cover
  mutable std::vector<std::atomic<bool>> checked_;
  mutable std::atomic<std::uint64_t> uses_ = 0;
};

}  // namespace hearth::vectors
