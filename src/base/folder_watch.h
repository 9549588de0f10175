// FolderWatch: told by the system when something happens in folders.
#pragma once

#include <string>

#include "base/duration.h"

namespace hearth {

// Used by one thread, but for wake().
class FolderWatch {
 public:
  FolderWatch();
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // Files that come, go, are written to their end or change their owner or mode, and folders; not
  // what happens in the folders below.  A folder that is watched already stays so, and one that is
  // gone is forgotten.  False: the system does not tell of this one (it is not there, lies on
  // another machine, or too many are watched); the caller looks for itself.
  bool add(const std::string& folder);

  // True: something happened, or may have.  False: nothing until `patience` was over or wake().
  bool wait(Milliseconds patience);
  void wake();  // thread-safe

 private:
  const int inotify_, wake_;
};

}  // namespace hearth
