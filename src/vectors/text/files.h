// Files of text kept in a collection: cut into pieces, embedded, and brought up to date.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "vectors/store/collection.h"
#include "vectors/text/chunks.h"

namespace hearth::vectors {

// Vectors of texts, one each.
using Embed = std::function<Result<std::vector<std::vector<float>>>(
    const std::vector<std::string>& texts, std::stop_token stop)>;

struct FileOptions {
  std::vector<std::string> globs, excluded;  // no globs: every file
  ChunkOptions chunks;
};

struct FileReport {
  std::size_t added = 0, changed = 0, unchanged = 0, removed = 0;  // files
  std::vector<std::string> skipped;                                // with the reason
  std::size_t chunks_written = 0, chunks_removed = 0;
  std::size_t chunks_embedded = 0;  // the others' texts had been embedded before
};

// paths: files and folders.  Each piece becomes a document `PATH#N` with the fields path, chunk,
// line, heading and what tells a changed file.  Files that are as they were are passed over; pieces
// of files that are gone from the folders are removed.  A file is brought up to date as a whole or
// not at all.  done: the share, 0 to 1.
Result<FileReport> index_files(Collection& collection, const std::vector<std::string>& paths,
                               const FileOptions& options, const Embed& embed,
                               const std::function<void(double share)>& done, std::stop_token stop);

}  // namespace hearth::vectors
