#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/files.h"
#include "base/os_error.h"
#include "base/store_files.h"

namespace hearth {
namespace {

// The file at `path` is still the one that is open.
bool has_name(int descriptor, const std::string& path) {
  struct stat held, named;
  return ::fstat(descriptor, &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

// Only for people: a failure to write it is none.
void write_owner(int descriptor) {
  const std::string owner = fmt::format("{}", ::getpid());
  if (::ftruncate(descriptor, 0) == 0) [[maybe_unused]]
    const ssize_t put = ::pwrite(descriptor, owner.data(), owner.size(), 0);
}

// What another program put there, such as a device or a pipe, is no file.
Result<std::pair<int, std::uint64_t>> open_regular(const std::string& path, int flags) {
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600);
  if (descriptor < 0) return os_error(path);
  struct stat info;
  if (::fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor);
    return Error(ErrorKind::io, fmt::format("{}: not a regular file", path));
  }
  return std::pair(descriptor, static_cast<std::uint64_t>(info.st_size));
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
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0) return os_error(path);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      const int code = errno;
      ::close(descriptor);
      if (code == EWOULDBLOCK) return std::optional<FileLock>();
      return os_error(path, code);
    }
    // Its last holder removes the file: a lock on a file without a name would lock nobody out.
    if (has_name(descriptor, path)) {
      write_owner(descriptor);
      return std::optional<FileLock>(FileLock(path, descriptor));
    }
    ::close(descriptor);
  }
}

FileLock::FileLock(FileLock&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  if (has_name(descriptor_, path_)) ::unlink(path_.c_str());
  ::close(descriptor_);
}

Result<GrowingFile> GrowingFile::open(const std::string& path) {
  const auto [descriptor, size] = TRY(open_regular(path, O_CREAT));
  return GrowingFile(path, descriptor, size);
}

Result<GrowingFile> GrowingFile::open_existing(const std::string& path) {
  const auto [descriptor, size] = TRY(open_regular(path, 0));
  return GrowingFile(path, descriptor, size);
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

Status GrowingFile::truncate(std::uint64_t size) {
  if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) return os_error(path_);
  size_ = size;
  return Done{};
}

Status GrowingFile::sync() {
  if (::fdatasync(descriptor_) != 0) return os_error(path_);
  return Done{};
}

Status sync_folder(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return os_error(path);
  const int code = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (code != 0) return os_error(path, code);
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

Result<std::vector<std::string>> list_tree(const std::string& folder) {
  std::error_code error;
  std::filesystem::recursive_directory_iterator entries(folder, error);
  if (error) return Error(ErrorKind::not_found, fmt::format("{}: {}", folder, error.message()));
  std::vector<std::string> paths;
  for (const std::filesystem::recursive_directory_iterator end; entries != end;
       entries.increment(error)) {
    if (error) return Error(ErrorKind::io, fmt::format("{}: {}", folder, error.message()));
    const std::string name = entries->path().filename().string();
    const bool is_link = entries->is_symlink(error);
    if (name.starts_with('.') || is_link) {
      entries.disable_recursion_pending();
      continue;
    }
    if (entries->is_regular_file(error))
      paths.push_back(entries->path().lexically_relative(folder).string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace hearth
