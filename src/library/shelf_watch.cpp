#include "library/shelf_watch.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "base/files.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

constexpr Milliseconds look_every(2000);      // whether a shelf that was absent has come
constexpr Milliseconds search_every(10'000);  // at all, where the system does not tell
constexpr Milliseconds settle_for(100), longest_settle(1000);
constexpr int max_depth = 6;               // of folders below a shelf: what discovery looks at
constexpr std::size_t max_folders = 8192;  // a shelf that is the root of a disk ends here

std::vector<std::string> roots_of(const LibraryFolders& folders) {
  std::vector<std::string> roots{folders.models};
  for (const Shelf& shelf : folders.shelves) roots.push_back(shelf.folder);
  return roots;
}

// Hidden folders are nobody's models, and blobs come before what names them.
bool holds_models(const std::string& name) { return !name.starts_with('.') && name != "blobs"; }

std::vector<bool> presence_of(const std::vector<std::string>& folders) {
  std::vector<bool> there;
  for (const std::string& folder : folders) there.push_back(is_folder(folder));
  return there;
}

}  // namespace

ShelfWatch::ShelfWatch(const LibraryFolders& folders, Changed changed)
    : roots_(roots_of(folders)), changed_(std::move(changed)) {
  thread_ = std::jthread([this](const std::stop_token& leaving) { run(leaving); });
}

ShelfWatch::~ShelfWatch() {
  thread_.request_stop();
  watch_.wake();
  thread_.join();
}

// False: of some folder nobody tells.
bool ShelfWatch::add_folders() {
  std::size_t left = max_folders;
  bool is_told = true;
  const std::function<void(const fs::path&, int)> add = [&](const fs::path& folder, int depth) {
    if (left == 0 || depth > max_depth) return;
    --left;
    is_told = watch_.add(folder.string()) && is_told;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
      if (holds_models(at->path().filename().string()) && at->is_directory(error))
        add(at->path(), depth + 1);
  };
  for (const std::string& root : roots_)
    if (is_folder(root)) add(root, 0);
  return is_told && left > 0;
}

// A file that is being copied, and a folder that is being unpacked, are looked at once.
void ShelfWatch::settle() {
  const auto deadline = std::chrono::steady_clock::now() + longest_settle;
  while (watch_.wait(settle_for) && std::chrono::steady_clock::now() < deadline) {
  }
}

void ShelfWatch::run(const std::stop_token& leaving) {
  while (!leaving.stop_requested()) {
    // In this order: what comes meanwhile is told, and looked at again.
    const std::vector<bool> there = presence_of(roots_);
    const bool is_told = add_folders();
    changed_(is_told);
    bool happened = false;
    do {
      happened = watch_.wait(is_told ? look_every : search_every);
    } while (!happened && is_told && !leaving.stop_requested() && presence_of(roots_) == there);
    if (happened && !leaving.stop_requested()) settle();
  }
}

}  // namespace hearth
