#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/os_error.h"
#include "base/store_files.h"

namespace hearth {
namespace {

class SystemAppendFile final : public AppendFile {
 public:
  explicit SystemAppendFile(GrowingFile file) : file_(std::move(file)) {}
  Status append(std::span<const std::byte> bytes) override { return file_.append(bytes); }
  Status sync() override { return file_.sync(); }
  Status truncate(std::uint64_t size) override { return file_.truncate(size); }

 private:
  GrowingFile file_;
};

class SystemLock final : public StoreLock {
 public:
  explicit SystemLock(FileLock held) : held_(std::move(held)) {}

 private:
  FileLock held_;
};

class SystemFiles final : public Files {
 public:
  Result<std::unique_ptr<AppendFile>> create(const std::string& path) override {
    GrowingFile file = TRY(GrowingFile::open(path));
    TRY(file.truncate(0));
    return std::unique_ptr<AppendFile>(new SystemAppendFile(std::move(file)));
  }
  Result<std::unique_ptr<AppendFile>> append_to(const std::string& path) override {
    GrowingFile file = TRY(GrowingFile::open_existing(path));
    return std::unique_ptr<AppendFile>(new SystemAppendFile(std::move(file)));
  }
  Result<std::shared_ptr<const MappedFile>> map(const std::string& path) override {
    return MappedFile::open(path);
  }
  Result<std::string> read(const std::string& path, std::uint64_t max_bytes) override {
    return read_file(path, max_bytes);
  }
  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return os_error(to);
    return Done{};
  }
  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return os_error(path);
    return Done{};
  }
  Status sync_folder(const std::string& path) override { return hearth::sync_folder(path); }
  Status make_folder(const std::string& path) override { return make_folders(path); }
  Status remove_folder(const std::string& path) override {
    if (::rmdir(path.c_str()) != 0) return os_error(path);
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
    return os_error(to);
  const auto source = TRY(MappedFile::open(from));
  const auto copy = TRY(create(to));
  TRY(copy->append(source->bytes()));
  return copy->sync();
}

// A folder that somebody removed meanwhile is not made again.
Result<std::unique_ptr<StoreLock>> SystemFiles::lock(const std::string& path) {
  if (!is_folder(parent_folder(path))) return os_error(path, ENOENT);
  if (auto held = TRY(FileLock::try_take(path)))
    return std::unique_ptr<StoreLock>(new SystemLock(std::move(*held)));
  constexpr std::uint64_t most_digits = 32;
  const std::string owner = read_file(path, most_digits).value_or("");
  return Error(ErrorKind::unavailable,
               fmt::format("{}: in use by process {}", path, owner.empty() ? "unknown" : owner));
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

}  // namespace hearth
