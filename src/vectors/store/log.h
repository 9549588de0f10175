// The write-ahead log: what was written since the last segment.  docs/formats/collection.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/json.h"
#include "vectors/index.h"

namespace hearth::vectors {

constexpr Row no_row = ~Row{0};

// A document on its way from a writer to a segment.  Immutable once logged.
struct StoredDocument {
  std::string id;
  std::vector<float> vector;
  std::string text;
  std::string metadata;  // JSON
};

// One step: a document gets a row, and the row that its id had, if any, dies; or a row dies.
struct LogStep {
  std::shared_ptr<const StoredDocument> document;  // null: a removal
  Row row = no_row;
  Row dead = no_row;
};

// Writes one log file.  A group is written by one append and is whole or absent after a crash.
// Used by one thread at a time.
class LogWriter {
 public:
  static Result<LogWriter> create(Files& files, const std::string& folder, std::uint64_t store_id,
                                  std::uint64_t epoch);

  // Errors: exhausted (the log is as it was, and may be written again), io (it is not known what
  // the file holds: is_broken()).
  Status append(const std::vector<LogStep>& steps, bool is_durable);
  Status sync();
  bool is_broken() const { return is_broken_; }
  std::uint64_t bytes() const { return size_; }
  std::uint64_t epoch() const { return epoch_; }

 private:
  LogWriter(std::unique_ptr<AppendFile> file, std::uint64_t store_id, std::uint64_t epoch);

  std::unique_ptr<AppendFile> file_;
  std::uint64_t store_id_, epoch_, size_ = 0;
  std::uint64_t groups_ = 0, durable_groups_ = 0;
  bool is_broken_ = false;
};

struct LogContents {
  std::vector<LogStep> steps;
  std::uint64_t good_bytes = 0;     // whole groups end here
  std::uint64_t dropped_bytes = 0;  // behind: what a crash left of unacknowledged writes
};

// Errors: corrupt: a group that was durable is damaged; nothing is guessed.
Result<LogContents> read_log(Files& files, const std::string& path, std::uint64_t store_id,
                             std::uint64_t epoch, std::size_t dim);

std::string log_name(std::uint64_t epoch);                           // "log-7"
std::optional<std::uint64_t> log_epoch(std::string_view file_name);  // nothing: no log's name

}  // namespace hearth::vectors
