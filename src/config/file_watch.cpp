// Folders are watched, not files: whoever writes a file anew and renames it leaves the old one to
// its watchers.  What inotify tells only says when to look; the files' identities say whether.
#include "config/file_watch.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include "base/files.h"
#include "base/store_files.h"

namespace hearth {
namespace {

constexpr Milliseconds look_every(5000);      // where nobody tells
constexpr Milliseconds longest_settle(2000);  // of a file that never rests
constexpr std::uint32_t events = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                 IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;

using Stamps = std::vector<std::pair<std::string, std::optional<FileIdentity>>>;

Stamps stamps_of(const std::vector<std::string>& paths) {
  Stamps stamps;
  for (const std::string& path : paths) stamps.emplace_back(path, file_identity(path));
  return stamps;
}

std::string real_path(const std::string& path) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (!real) return "";
  const std::string text(real);
  ::free(real);
  return text;
}

// The folder, or the nearest above it that exists: where it would appear.
std::string existing_folder(std::string folder) {
  while (!is_folder(folder) && folder != "/" && folder != ".") folder = parent_folder(folder);
  return folder;
}

class Watch {
 public:
  Watch()
      : inotify_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
        wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Watch() {
    if (inotify_ >= 0) ::close(inotify_);
    if (wake_ >= 0) ::close(wake_);
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Watching a folder again changes nothing, and watches of folders that are gone end by
  // themselves.
  void add_folders_of(const std::vector<std::string>& paths) const {
    std::vector<std::string> folders{"."};
    for (const std::string& path : paths) {
      folders.push_back(existing_folder(parent_folder(path)));
      if (const std::string real = real_path(path); !real.empty())
        folders.push_back(parent_folder(real));
    }
    for (const std::string& folder : folders)
      if (inotify_ >= 0) ::inotify_add_watch(inotify_, folder.c_str(), events);
  }

  // True: something happened in a folder, or may have.
  bool wait(Milliseconds patience) const {
    std::array<pollfd, 2> ready{{{inotify_, POLLIN, 0}, {wake_, POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), static_cast<int>(patience.count())) <= 0) return false;
    alignas(inotify_event) std::array<char, 4096> buffer;
    bool happened = false;
    while (inotify_ >= 0 && ::read(inotify_, buffer.data(), buffer.size()) > 0) happened = true;
    return happened;
  }

  void wake() const {
    const std::uint64_t one = 1;
    if (::write(wake_, &one, sizeof one) < 0) return;  // it is awake already
  }

 private:
  const int inotify_, wake_;
};

}  // namespace

void watch_files(const std::function<std::vector<std::string>()>& paths, Milliseconds settle,
                 const std::stop_token& leaving, const std::function<void()>& changed) {
  const Watch watch;
  const std::stop_callback stopped(leaving, [&] { watch.wake(); });
  Stamps known;  // of nothing yet: what happened before anybody watched is looked at too
  while (!leaving.stop_requested()) {
    watch.add_folders_of(paths());
    // Whatever happened before the folders were watched shows in the stamps.
    Stamps seen = stamps_of(paths());
    if (seen == known) {
      watch.wait(look_every);
      seen = stamps_of(paths());
    }
    if (seen == known || leaving.stop_requested()) continue;
    const auto deadline = std::chrono::steady_clock::now() + longest_settle;
    for (bool rests = false; !rests && !leaving.stop_requested();) {
      rests = !watch.wait(settle);
      const Stamps later = stamps_of(paths());
      rests = (rests && later == seen) || std::chrono::steady_clock::now() > deadline;
      seen = later;
    }
    known = std::move(seen);
    if (!leaving.stop_requested()) changed();
  }
}

}  // namespace hearth
