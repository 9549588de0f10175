// Files as a store of records uses them: an interface over files.h and store_files.h, so that tests
// can fail any call and pull the plug.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace hearth {

// A file that is written at its end.  Used by one thread at a time; closed with the object.
class AppendFile {
 public:
  virtual ~AppendFile() = default;
  // After an error the file may hold a part of the bytes.
  virtual Status append(std::span<const std::byte> bytes) = 0;
  // Returns when everything appended so far survives a loss of power.  After an error nobody knows
  // what does: the system may have dropped the data.
  virtual Status sync() = 0;
  virtual Status truncate(std::uint64_t size) = 0;  // to its first `size` bytes
};

// Held until the object or its process ends, however it ends.
class StoreLock {
 public:
  virtual ~StoreLock() = default;
};

// Thread-safe.  Errors: not_found; exhausted: no space, quota or descriptors left; io.
class Files {
 public:
  virtual ~Files() = default;
  // An empty file of mode 0600, in place of what had the name.
  virtual Result<std::unique_ptr<AppendFile>> create(const std::string& path) = 0;
  virtual Result<std::unique_ptr<AppendFile>> append_to(const std::string& path) = 0;
  virtual Result<std::shared_ptr<const MappedFile>> map(const std::string& path) = 0;
  virtual Result<std::string> read(const std::string& path, std::uint64_t max_bytes) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status remove(const std::string& path) = 0;
  // Makes creations, renames and removals in the folder last.
  virtual Status sync_folder(const std::string& path) = 0;
  // Mode 0700, with its parents; no error if it is there.
  virtual Status make_folder(const std::string& path) = 0;
  virtual Status remove_folder(const std::string& path) = 0;  // an empty one
  // Names, sorted.
  virtual Result<std::vector<std::string>> list(const std::string& path) = 0;
  // A second name of a file that never changes, or a copy where that cannot be.
  virtual Status link(const std::string& from, const std::string& to) = 0;
  // For one process at a time.  Error unavailable: names the process that has it.
  virtual Result<std::unique_ptr<StoreLock>> lock(const std::string& path) = 0;
};

// Those of the operating system.
std::shared_ptr<Files> system_files();

// A crash at any point leaves the old file or the new one.  After an error it may be either.
Status replace_file(Files& files, const std::string& path, std::span<const std::byte> bytes);

}  // namespace hearth
