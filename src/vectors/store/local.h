// Collections that live in folders of this machine.  docs/formats/collection.md has the files.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/disk.h"
#include "vectors/store/collection.h"

namespace hearth::vectors {

struct IndexMaker {
  std::function<Result<std::unique_ptr<Index>>(const Schema& schema)> make;
  // What Index::save wrote.  May be empty: then the index is built again at opening.
  std::function<Result<std::unique_ptr<Index>>(const Schema& schema, const std::string& path)> load;
};
IndexMaker standard_indexes();

enum class Access { write, read };

struct StoreOptions {
  std::shared_ptr<Files> files;  // null: those of the system
  IndexMaker indexes = standard_indexes();
  // true: a write returns when it has reached the disk.  false: after at most a second it has; a
  // crash of this process loses nothing, a crash of the machine or a loss of power what was written
  // in that second, as a whole from some write on.
  bool is_synced = true;
  bool has_background = true;               // false: only maintain() does background work
  std::uint64_t flush_bytes = 64 << 20;     // a log of this size becomes a segment
  std::size_t max_segments = 8;             // more are merged,
  std::uint64_t segment_bytes = 512 << 20;  // but for those as large as this
  // Segments that are used most are kept in memory up to hot_bytes; what does not fit warm_bytes of
  // mapped files becomes cold.  Of each collection.
  std::uint64_t hot_bytes = 1ull << 30, warm_bytes = 10ull << 30;
  // Rows that the saved index lacks when a collection is opened: more are brought into it in the
  // background, and compared one by one until then.
  std::size_t indexed_at_once = 2000;
  // Vectors that a new index holds unsorted while it is filled, if it can sort them by a sample.
  std::size_t waiting_bytes = 256u << 20;
};

// One process at a time may write a collection; any number may read it as it was when they opened
// it.  Errors: not_found, invalid (a name), unavailable (another process writes it), corrupt (what
// was durable is damaged: names the file and place; nothing is guessed).
Result<std::unique_ptr<Collection>> open_collection(const std::string& folder, Access access,
                                                    const StoreOptions& options = {});
// Errors: invalid: there is something of that name.
Result<std::unique_ptr<Collection>> create_collection(const std::string& folder,
                                                      const Schema& schema,
                                                      const StoreOptions& options = {});
Status remove_collection(const std::string& folder, const StoreOptions& options = {});

// Names of the collections in a folder of them, sorted; a folder that is not there has none.
std::vector<std::string> list_collections(const std::string& folder);
bool is_collection(const std::string& folder);

}  // namespace hearth::vectors
