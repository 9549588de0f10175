// Cold documents: a segment as a database of SQLite.  docs/formats/collection.md.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "vectors/store/segment.h"

namespace hearth::vectors {

// What a cold file begins with.
constexpr std::string_view cold_magic = "SQLite format 3";

// Gathers documents and writes them as one file, by one append.  Used by one thread.
class ColdWriter {
 public:
  static Result<std::unique_ptr<ColdWriter>> create(std::size_t dim, std::uint64_t store_id);
  virtual ~ColdWriter() = default;

  // Rows must ascend.
  virtual Status add(Row row, const DocumentView& document) = 0;
  virtual std::size_t count() const = 0;
  virtual std::uint64_t bytes() const = 0;  // of what was added, about
  // The file counts only once this has returned.  dead: as of a segment.
  virtual Status commit(Files& files, const std::string& path, std::span<const Row> dead) = 0;
};

// Thread-safe: one document is fetched at a time.  Rows, deaths and ids are in memory.
class ColdDocuments {
 public:
  // bytes: the file, which outlives this.  Errors: corrupt.
  static Result<std::unique_ptr<ColdDocuments>> open(std::span<const std::byte> bytes,
                                                     std::size_t dim, std::uint64_t store_id);
  virtual ~ColdDocuments() = default;

  virtual std::span<const Row> rows() const = 0;
  virtual std::span<const Row> dead() const = 0;
  virtual Result<DocumentView> document(std::size_t place) const = 0;
  virtual std::string_view id(std::size_t place) const = 0;
};

}  // namespace hearth::vectors
