#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/bytes.h"
#include "base/disk.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

Error system_error(std::string_view path, int code = errno) {
  ErrorKind kind = ErrorKind::io;
  if (code == ENOENT || code == ENOTDIR) kind = ErrorKind::not_found;
  if (code == ENOSPC || code == EDQUOT || code == EMFILE || code == ENFILE)
    kind = ErrorKind::exhausted;
  return Error(kind, fmt::format("{}: {}", path, std::strerror(code)));
}

class SystemAppendFile final : public AppendFile {
 public:
  SystemAppendFile(std::string path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}
  ~SystemAppendFile() override { ::close(descriptor_); }
  SystemAppendFile(const SystemAppendFile&) = delete;
  SystemAppendFile& operator=(const SystemAppendFile&) = delete;

  Status append(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return system_error(path_);
      bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return Done{};
  }
  Status sync() override {
    if (::fdatasync(descriptor_) != 0) return system_error(path_);
    return Done{};
  }
  Status truncate(std::uint64_t size) override {
    if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) return system_error(path_);
    return Done{};
  }

 private:
  std::string path_;
  int descriptor_;
};

class SystemLock final : public StoreLock {
 public:
  explicit SystemLock(int descriptor) : descriptor_(descriptor) {}
  ~SystemLock() override { ::close(descriptor_); }
  SystemLock(const SystemLock&) = delete;
  SystemLock& operator=(const SystemLock&) = delete;

 private:
  int descriptor_;
};

Result<std::unique_ptr<AppendFile>> open_for_append(const std::string& path, int flags) {
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
  if (descriptor < 0) return system_error(path);
  return std::unique_ptr<AppendFile>(new SystemAppendFile(path, descriptor));
}

class SystemFiles final : public Files {
 public:
  Result<std::unique_ptr<AppendFile>> create(const std::string& path) override {
    return open_for_append(path, O_CREAT | O_TRUNC);
  }
  Result<std::unique_ptr<AppendFile>> append_to(const std::string& path) override {
    return open_for_append(path, 0);
  }
  Result<std::shared_ptr<const MappedFile>> map(const std::string& path) override {
    return MappedFile::open(path);
  }
  Result<std::string> read(const std::string& path, std::uint64_t max_bytes) override {
    return read_file(path, max_bytes);
  }
  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return system_error(to);
    return Done{};
  }
  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return system_error(path);
    return Done{};
  }
  Status sync_folder(const std::string& path) override {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return system_error(path);
    const int code = ::fsync(descriptor) == 0 ? 0 : errno;
    ::close(descriptor);
    if (code != 0) return system_error(path, code);
    return Done{};
  }
  Status make_folder(const std::string& path) override {
    if (is_folder(path)) return Done{};
    const std::string parent = parent_folder(path);
    if (!is_folder(parent)) {
      Status made = make_folder(parent);
      if (!made.ok()) return made;
    }
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return system_error(path);
    return Done{};
  }
  Status remove_folder(const std::string& path) override {
    if (::rmdir(path.c_str()) != 0) return system_error(path);
    return Done{};
  }
  Result<std::vector<std::string>> list(const std::string& path) override {
    return list_folder(path);
  }
  Status link(const std::string& from, const std::string& to) override;
  Result<std::unique_ptr<StoreLock>> lock(const std::string& path) override;
};

Status SystemFiles::link(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) == 0) return Done{};
  if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != EOPNOTSUPP)
    return system_error(to);
  const auto source = TRY(MappedFile::open(from));
  const auto copy = TRY(create(to));
  TRY(copy->append(source->bytes()));
  return copy->sync();
}

Result<std::unique_ptr<StoreLock>> SystemFiles::lock(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return system_error(path);
  auto held = std::make_unique<SystemLock>(descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_error(path);
    char owner[32] = {};
    const ssize_t size = ::read(descriptor, owner, sizeof owner - 1);
    return Error(ErrorKind::unavailable,
                 fmt::format("{}: in use by process {}", path, size > 0 ? owner : "unknown"));
  }
  // Who holds it: only for people, so a failure to write it is none.
  const std::string owner = fmt::format("{}", ::getpid());
  if (::ftruncate(descriptor, 0) == 0) [[maybe_unused]]
    const ssize_t put = ::pwrite(descriptor, owner.data(), owner.size(), 0);
  return std::unique_ptr<StoreLock>(std::move(held));
}

}  // namespace

std::shared_ptr<Files> system_files() { return std::make_shared<SystemFiles>(); }

Status replace_file(Files& files, const std::string& path, std::span<const std::byte> bytes) {
  const std::string draft = path + ".new";
  {
    const auto file = TRY(files.create(draft));
    TRY(file->append(bytes));
    TRY(file->sync());
  }
  TRY(files.rename(draft, path));
  return files.sync_folder(parent_folder(path));  // makes the rename itself last
}

Result<FileStamp> stamp_of(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return system_error(path);
  constexpr std::int64_t ns_per_second = 1'000'000'000;
  return FileStamp{info.st_mtim.tv_sec * ns_per_second + info.st_mtim.tv_nsec,
                   static_cast<std::uint64_t>(info.st_size)};
}

Result<std::vector<std::string>> list_tree(const std::string& folder) {
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, error);
  if (error) return Error(ErrorKind::not_found, fmt::format("{}: {}", folder, error.message()));
  std::vector<std::string> paths;
  for (const fs::recursive_directory_iterator end; entries != end; entries.increment(error)) {
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
