#include <fcntl.h>
#include <fmt/core.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/share_file.h"
#include "base/store_files.h"

namespace hearth {
namespace {

// Only some file systems can.  Source: ioctl_ficlone(2).
bool clone_file(const std::string& from, const std::string& to) {
  const int in = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
  if (in < 0) return false;
  const int out = ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const bool is_cloned = out >= 0 && ::ioctl(out, FICLONE, in) == 0;
  ::close(in);
  if (out < 0) return false;
  ::close(out);
  if (!is_cloned) ::unlink(to.c_str());
  return is_cloned;
}

}  // namespace

Status share_file(const std::string& from, const std::string& to, bool may_link) {
  std::error_code error;
  const std::filesystem::path source = std::filesystem::canonical(from, error);
  if (error) return Error(ErrorKind::io, fmt::format("{}: {}", from, error.message()));
  TRY(remove_all(to));
  if (clone_file(source.string(), to)) return Done{};
  if (may_link && ::link(source.c_str(), to.c_str()) == 0) return Done{};
  if (!std::filesystem::copy_file(source, to, error)) {
    ::unlink(to.c_str());
    const bool is_full = error.value() == ENOSPC || error.value() == EDQUOT;
    return Error(is_full ? ErrorKind::exhausted : ErrorKind::io,
                 fmt::format("{}: {}", to, error.message()));
  }
  return Done{};
}

}  // namespace hearth
