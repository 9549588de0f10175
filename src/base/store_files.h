// What a store of large files needs of the operating system: identity, locks, appending, moves that
// last.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth {

// Changes when a file's bytes do, without reading them.
struct FileIdentity {
  std::uint64_t device = 0, inode = 0, bytes = 0;
  std::int64_t modified_ns = 0;  // since 1970
  bool operator==(const FileIdentity&) const = default;
};
// Of what a symbolic link points to; nothing where there is no file or folder.
std::optional<FileIdentity> file_identity(const std::string& path);

// Free for this user on the file system of `path`, which may not exist yet.
std::uint64_t free_disk_bytes(const std::string& path);

// Held by one process at a time and let go when it ends, however it ends.  The file holds the
// number of that process, for people, and goes away when the lock is given back.
class FileLock {
 public:
  // Nothing: somebody else holds it.  Errors: as GrowingFile's.
  static Result<std::optional<FileLock>> try_take(const std::string& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  FileLock(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  std::string path_;
  int descriptor_;
};

// A file that grows: what was written stays when the process is killed.  Errors: not_found, io,
// exhausted (the disk is full, or there are too many open files).
class GrowingFile {
 public:
  static Result<GrowingFile> open(const std::string& path);  // mode 0600, made where it is not
  static Result<GrowingFile> open_existing(const std::string& path);
  GrowingFile(GrowingFile&& other) noexcept;
  GrowingFile& operator=(GrowingFile&&) = delete;
  ~GrowingFile();

  std::uint64_t size() const { return size_; }
  Status append(std::span<const std::byte> bytes);
  Status truncate(std::uint64_t size);  // to its first `size` bytes
  Status sync();                        // what was written outlives a power cut

 private:
  GrowingFile(std::string path, int descriptor, std::uint64_t size)
      : path_(std::move(path)), descriptor_(descriptor), size_(size) {}
  std::string path_;
  int descriptor_;
  std::uint64_t size_;
};

Status make_folders(const std::string& path);  // mode 0700; fine when it is there
Status sync_folder(const std::string& path);   // makes creations, renames and removals in it last
// Moves a file or folder within one file system, so that it lasts.  What is at `to` is replaced if
// it is a file; a folder there is exchanged with the one moved.
Status move_path(const std::string& from, const std::string& to);
Status remove_all(const std::string& path);  // fine when there is nothing
// Regular files below `folder`, as paths relative to it, sorted; links and names that begin with a
// dot are passed over.
Result<std::vector<std::string>> list_tree(const std::string& folder);

}  // namespace hearth
