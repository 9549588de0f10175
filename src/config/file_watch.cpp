// Folders are watched, not files: whoever writes a file anew and renames it leaves the old one to
// its watchers.  What the system tells only says when to look; the files' identities say whether.
#include "config/file_watch.h"

#include <stdlib.h>

#include <chrono>
#include <optional>

#include "base/files.h"
#include "base/folder_watch.h"
#include "base/store_files.h"

namespace hearth {
namespace {

constexpr Milliseconds look_every(5000);      // where nobody tells
constexpr Milliseconds longest_settle(2000);  // of a file that never rests

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

// Watching a folder again changes nothing.  What the system does not tell is seen in the stamps.
void add_folders_of(const std::vector<std::string>& paths, FolderWatch& watch) {
  (void)watch.add(".");
  for (const std::string& path : paths) {
    (void)watch.add(existing_folder(parent_folder(path)));
    if (const std::string real = real_path(path); !real.empty())
      (void)watch.add(parent_folder(real));
  }
}

}  // namespace

void watch_files(const std::function<std::vector<std::string>()>& paths, Milliseconds settle,
                 const std::stop_token& leaving, const std::function<void()>& changed) {
  FolderWatch watch;
  const std::stop_callback stopped(leaving, [&] { watch.wake(); });
  Stamps known;  // of nothing yet: what happened before anybody watched is looked at too
  while (!leaving.stop_requested()) {
    add_folders_of(paths(), watch);
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
