// A segment: documents in one file that never changes, mapped.  docs/formats/collection.md.
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

namespace hearth::vectors {

// A document as it lies in a segment or the log.  Points into them.
struct DocumentView {
  std::string_view id, text, metadata;
  std::span<const float> vector;
};

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

// Immutable but for which parts have been checked; thread-safe.  Every part of the file is checked
// against its checksum before the first byte of it is used; a part that fails is an error for those
// who ask for it, and for nobody else.
class Segment {
 public:
  // Errors: corrupt: not a segment of this store, cut short, or its tables are damaged.
  static Result<std::shared_ptr<const Segment>> open(Files& files, const std::string& path,
                                                     std::size_t dim, std::uint64_t store_id);

  std::span<const Row> rows() const { return rows_; }
  std::span<const Row> dead() const { return dead_; }
  std::size_t dim() const { return dim_; }
  std::uint64_t bytes() const { return bytes_.size(); }
  const std::string& path() const { return path_; }

  // The place of a row in rows(), or -1.
  std::ptrdiff_t find(Row row) const;
  Result<DocumentView> document(std::size_t place) const;

 private:
  Segment() = default;
  Status check(std::uint64_t offset, std::uint64_t size) const;
  Status read_footer(std::uint64_t store_id);

  std::string path_;
  std::size_t dim_ = 0;
  std::shared_ptr<const MappedFile> file_;
  std::span<const std::byte> bytes_;
  std::span<const Row> rows_, dead_;
  std::span<const std::uint64_t> offsets_;
  std::span<const std::uint32_t> chunk_crcs_;
  std::uint64_t data_bytes_ = 0;  // what the chunks' checksums cover
  mutable std::vector<std::atomic<bool>> checked_;
};

}  // namespace hearth::vectors
