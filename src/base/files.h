// Files: whole reads, mapped views, and replacement that survives a crash.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth {

// A regular file mapped read-only for as long as the object lives.  Immutable; thread-safe.
// A file that another process shortens while it is mapped ends reads with SIGBUS: files in our own
// store are never shortened in place.
class MappedFile {
 public:
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  // Bytes that the program itself carries and that live as long as it does.
  static std::shared_ptr<const MappedFile> of_program(std::span<const std::byte> bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  MappedFile(std::span<const std::byte> bytes, bool owned) : bytes_(bytes), owned_(owned) {}
  std::span<const std::byte> bytes_;
  bool owned_;
};

// The whole of a regular file of at most `max_bytes`.
Result<std::string> read_file(const std::string& path, std::uint64_t max_bytes);
// All of standard input.
Result<std::string> read_stdin(std::uint64_t max_bytes);

// Lets this process open as many files and sockets as the system permits it to.
void raise_open_file_limit();

bool is_folder(const std::string& path);
bool is_file(const std::string& path);
// Names (not paths) in a folder, sorted.
Result<std::vector<std::string>> list_folder(const std::string& path);
std::string join_path(std::string_view folder, std::string_view name);
std::string file_name(std::string_view path);      // "a/b.gguf" -> "b.gguf"
std::string parent_folder(std::string_view path);  // "a/b.gguf" -> "a"; "b" -> "."

// A file written piece by piece that takes its name, replacing what had it, only at commit(): a
// crash at any point leaves the old file or the new one, never a mix.  Creates parent folders (mode
// 0700) as needed; the file has mode 0600.  Without commit() nothing is left behind.
class DraftFile {
 public:
  static Result<DraftFile> create(const std::string& path);
  DraftFile(DraftFile&& other) noexcept;
  DraftFile& operator=(DraftFile&&) = delete;
  ~DraftFile();

  Status write(std::span<const std::byte> bytes);
  Status commit();

 private:
  DraftFile(std::string path, std::string draft, int descriptor);

  std::string path_, draft_;  // draft_ is empty once there is nothing to remove
  int descriptor_;
};

// Writes `bytes` so that a crash at any point leaves the old file or the new one, never a mix.
// Creates parent folders (mode 0700) as needed; the file has mode 0600.
Status replace_file(const std::string& path, std::span<const std::byte> bytes);

}  // namespace hearth
