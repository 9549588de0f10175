#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/files.h"
#include "base/os_error.h"
#include "base/store_files.h"

namespace hearth {

Error os_error(std::string_view path, int code) {
  ErrorKind kind = ErrorKind::io;
  if (code == ENOENT || code == ENOTDIR) kind = ErrorKind::not_found;
  if (code == ENOSPC || code == EDQUOT || code == EMFILE || code == ENFILE)
    kind = ErrorKind::exhausted;
  return Error(kind, fmt::format("{}: {}", path, std::strerror(code)));
}

namespace {

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int value() const { return value_; }

 private:
  int value_;
};

struct Opened {
  int descriptor;
  std::uint64_t size;
};

// O_NONBLOCK: a FIFO must not hang us before fstat tells what it is.
Result<Opened> open_regular(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return os_error(path);
  struct stat info;
  if (::fstat(descriptor, &info) != 0) {
    const Error error = os_error(path);
    ::close(descriptor);
    return error;
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(descriptor);
    return Error(ErrorKind::invalid, fmt::format("{}: not a regular file", path));
  }
  return Opened{descriptor, static_cast<std::uint64_t>(info.st_size)};
}

Result<std::string> read_all(int descriptor, std::string_view name, std::uint64_t max_bytes) {
  std::string text;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t got = ::read(descriptor, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return os_error(name);
    if (got == 0) return text;
    if (text.size() + static_cast<std::size_t>(got) > max_bytes)
      return Error(ErrorKind::invalid, fmt::format("{}: over {} bytes", name, max_bytes));
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

Status write_all(int descriptor, std::string_view name, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return os_error(name);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return Done{};
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  const Opened opened = TRY(open_regular(path));
  const Descriptor descriptor(opened.descriptor);
  if (opened.size == 0) return std::shared_ptr<const MappedFile>(new MappedFile({}, false));
  void* address = ::mmap(nullptr, opened.size, PROT_READ, MAP_PRIVATE, descriptor.value(), 0);
  if (address == MAP_FAILED) return os_error(path);
  return std::shared_ptr<const MappedFile>(
      new MappedFile({static_cast<const std::byte*>(address), opened.size}, true));
}

std::shared_ptr<const MappedFile> MappedFile::of_program(std::span<const std::byte> bytes) {
  return std::shared_ptr<const MappedFile>(new MappedFile(bytes, false));
}

MappedFile::~MappedFile() {
  if (owned_) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<std::string> read_file(const std::string& path, std::uint64_t max_bytes) {
  const Opened opened = TRY(open_regular(path));
  const Descriptor descriptor(opened.descriptor);
  if (opened.size > max_bytes)
    return Error(ErrorKind::invalid,
                 fmt::format("{}: {} bytes, at most {}", path, opened.size, max_bytes));
  return read_all(descriptor.value(), path, max_bytes);
}

Result<std::string> read_stdin(std::uint64_t max_bytes) {
  return read_all(STDIN_FILENO, "standard input", max_bytes);
}

void raise_open_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

bool is_folder(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool is_file(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

Result<std::vector<std::string>> list_folder(const std::string& path) {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator entries(path, error);
  if (error) return Error(ErrorKind::not_found, fmt::format("{}: {}", path, error.message()));
  for (const auto& entry : entries) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string join_path(std::string_view folder, std::string_view name) {
  return folder.empty() || folder.back() == '/' ? fmt::format("{}{}", folder, name)
                                                : fmt::format("{}/{}", folder, name);
}

std::string file_name(std::string_view path) {
  return std::string(path.substr(path.find_last_of('/') + 1));
}

std::string parent_folder(std::string_view path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

DraftFile::DraftFile(std::string path, std::string draft, int descriptor)
    : path_(std::move(path)), draft_(std::move(draft)), descriptor_(descriptor) {}

DraftFile::DraftFile(DraftFile&& other) noexcept
    : path_(std::move(other.path_)),
      draft_(std::exchange(other.draft_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

DraftFile::~DraftFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!draft_.empty()) ::unlink(draft_.c_str());
}

Result<DraftFile> DraftFile::create(const std::string& path) {
  const std::string folder = parent_folder(path);
  std::error_code error;
  if (!is_folder(folder)) {
    std::filesystem::create_directories(folder, error);
    if (error) return Error(ErrorKind::io, fmt::format("{}: {}", folder, error.message()));
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  }
  std::string draft = path + ".XXXXXX";
  const int descriptor = ::mkostemp(draft.data(), O_CLOEXEC);  // mode 0600
  if (descriptor < 0) return os_error(draft);
  return DraftFile(path, std::move(draft), descriptor);
}

Status DraftFile::write(std::span<const std::byte> bytes) {
  return write_all(descriptor_, draft_, bytes);
}

Status DraftFile::commit() {
  if (::fsync(descriptor_) != 0) return os_error(draft_);
  if (::rename(draft_.c_str(), path_.c_str()) != 0) return os_error(path_);
  draft_.clear();
  return sync_folder(parent_folder(path_));
}

Status replace_file(const std::string& path, std::span<const std::byte> bytes) {
  DraftFile draft = TRY(DraftFile::create(path));
  TRY(draft.write(bytes));
  return draft.commit();
}

}  // namespace hearth
