// ShelfWatch: notices when something changes in the folders that models are kept in.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/folder_watch.h"
#include "library/folders.h"

namespace hearth {

class ShelfWatch {
 public:
  // Called at the beginning and when something changed or may have, a fraction of a second after it
  // rests.  `is_told`: the next change will be told too; false: some folder is only looked at now
  // and then, as `changed` is called now and then.
  using Changed = std::function<void(bool is_told)>;

  // `changed` comes from a thread of its own.
  ShelfWatch(const LibraryFolders& folders, Changed changed);
  ~ShelfWatch();

 private:
  void run(const std::stop_token& leaving);
  void settle();
  bool add_folders();

  const std::vector<std::string> roots_;
  const Changed changed_;
  FolderWatch watch_;
  std::jthread thread_;
};

}  // namespace hearth
