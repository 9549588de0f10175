#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/folder_watch.h"

namespace hearth {
namespace {

constexpr std::uint32_t events = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                 IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;

// File systems whose files others change without the kernel of this machine knowing.
// Source: statfs(2), "f_type", and linux/magic.h.
constexpr std::uint32_t silent_kinds[] = {
    0x6969,      // NFS
    0x517b,      // SMB
    0xff534d42,  // CIFS
    0xfe534d42,  // SMB 2
    0x65735546,  // FUSE: sshfs, cloud drives
    0x01021997,  // 9p: shared folders of virtual machines
    0x00c36400,  // Ceph
    0x5346414f,  // AFS
    0x786f4256,  // VirtualBox's shared folders
    0xbacbacbc,  // VMware's
};

bool is_silent(const std::string& folder) {
  struct statfs status{};
  if (::statfs(folder.c_str(), &status) != 0) return true;
  const auto kind = static_cast<std::uint32_t>(status.f_type);
  return std::ranges::find(silent_kinds, kind) != std::end(silent_kinds);
}

}  // namespace

FolderWatch::FolderWatch()
    : inotify_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
      wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

FolderWatch::~FolderWatch() {
  if (inotify_ >= 0) ::close(inotify_);
  if (wake_ >= 0) ::close(wake_);
}

bool FolderWatch::add(const std::string& folder) {
  if (inotify_ < 0 || ::inotify_add_watch(inotify_, folder.c_str(), events) < 0) return false;
  return !is_silent(folder);
}

bool FolderWatch::wait(Milliseconds patience) {
  std::array<pollfd, 2> ready{{{inotify_, POLLIN, 0}, {wake_, POLLIN, 0}}};
  if (::poll(ready.data(), ready.size(), static_cast<int>(patience.count())) <= 0) return false;
  alignas(inotify_event) std::array<char, 4096> buffer;
  bool happened = false;
  while (inotify_ >= 0 && ::read(inotify_, buffer.data(), buffer.size()) > 0) happened = true;
  return happened;
}

void FolderWatch::wake() {
  const std::uint64_t one = 1;
  if (::write(wake_, &one, sizeof one) < 0) return;  // it is awake already
}

}  // namespace hearth
