#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/files.h"
#include "base/store_files.h"

namespace hearth {
namespace {

Error os_error(std::string_view path) {
  const int code = errno;
  const ErrorKind kind = code == ENOENT                     ? ErrorKind::not_found
                         : code == ENOSPC || code == EDQUOT ? ErrorKind::exhausted
                                                            : ErrorKind::io;
  return Error(kind, fmt::format("{}: {}", path, std::strerror(code)));
}

Status sync_folder(const std::string& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return os_error(folder);
  const bool is_synced = ::fsync(descriptor) == 0;
  const Error error = os_error(folder);
  ::close(descriptor);
  if (!is_synced) return error;
  return Done{};
}

}  // namespace

std::optional<FileIdentity> file_identity(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return FileIdentity{info.st_dev, info.st_ino, static_cast<std::uint64_t>(info.st_size),
                      std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
}

std::uint64_t free_disk_bytes(const std::string& path) {
  struct statvfs info;
  std::string place = path;
  while (::statvfs(place.c_str(), &info) != 0) {
    const std::string parent = parent_folder(place);
    if (parent == place) return 0;
    place = parent;
  }
  return std::uint64_t{info.f_bavail} * info.f_frsize;
}

Result<std::optional<FileLock>> FileLock::try_take(const std::string& path) {
  TRY(make_folders(parent_folder(path)));
  for (;;) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) return os_error(path);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      const Error error = os_error(path);
      const bool is_held = errno == EWOULDBLOCK;
      ::close(descriptor);
      if (is_held) return std::optional<FileLock>();
      return error;
    }
    // Its last holder removes the file: a lock on a file without a name would lock nobody out.
    struct stat held, named;
    const bool is_named = ::fstat(descriptor, &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
                          held.st_ino == named.st_ino && held.st_dev == named.st_dev;
    if (is_named) return std::optional<FileLock>(FileLock(path, descriptor));
    ::close(descriptor);
  }
}

FileLock::FileLock(FileLock&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  ::unlink(path_.c_str());
  ::close(descriptor_);
}

Result<GrowingFile> GrowingFile::open(const std::string& path) {
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return os_error(path);
  struct stat info;
  if (::fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor);
    return Error(ErrorKind::io, fmt::format("{}: not a regular file", path));
  }
  return GrowingFile(path, descriptor, static_cast<std::uint64_t>(info.st_size));
}

GrowingFile::GrowingFile(GrowingFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

GrowingFile::~GrowingFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status GrowingFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return os_error(path_);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    size_ += static_cast<std::uint64_t>(put);
  }
  return Done{};
}

Status GrowingFile::cut() {
  if (::ftruncate(descriptor_, 0) != 0) return os_error(path_);
  size_ = 0;
  return Done{};
}

Status GrowingFile::sync() {
  if (::fsync(descriptor_) != 0) return os_error(path_);
  return Done{};
}

Status make_folders(const std::string& path) {
  if (is_folder(path)) return Done{};
  const std::string parent = parent_folder(path);
  if (parent != path && parent != ".") TRY(make_folders(parent));
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return os_error(path);
  if (!is_folder(path)) return Error(ErrorKind::io, fmt::format("{}: not a folder", path));
  return Done{};
}

Status move_path(const std::string& from, const std::string& to) {
  const bool exchanges = is_folder(to);
  if (exchanges ? ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) != 0
                : ::rename(from.c_str(), to.c_str()) != 0)
    return os_error(to);
  return sync_folder(parent_folder(to));
}

Status remove_all(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return Error(ErrorKind::io, fmt::format("{}: {}", path, error.message()));
  return Done{};
}

}  // namespace hearth
