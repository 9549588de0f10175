// The manifest: which files a collection is made of.  Replaced as a whole, never changed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/disk.h"
#include "vectors/store/schema.h"

namespace hearth::vectors {

struct SavedIndex {
  std::string file;       // the index as it saves itself
  std::string rows_file;  // which rows are in it
  std::string kind;       // what it was: an index may become another by itself
};

struct Manifest {
  std::uint64_t store_id = 0;
  Schema schema;
  std::vector<std::string> segments;  // oldest first; their rows ascend
  std::uint64_t log_floor = 0;        // logs of this epoch and later ones count
  std::uint64_t next_file = 1;
  std::uint32_t next_row = 0;
  std::optional<SavedIndex> index;
  Json tuning, recall;  // see CollectionInfo
};

constexpr std::string_view manifest_name = "MANIFEST";

// Errors: not_found, corrupt, unsupported (a later version).
Result<Manifest> read_manifest(Files& files, const std::string& folder);
Status write_manifest(Files& files, const std::string& folder, const Manifest& manifest);

// A file of `magic`, a version, a checksum and `body`: what small files of the store are.
Status write_checked(Files& files, const std::string& path, std::string_view magic,
                     std::string_view body);
Result<std::string> read_checked(Files& files, const std::string& path, std::string_view magic);

}  // namespace hearth::vectors
