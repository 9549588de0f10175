// For tests: a folder that is gone afterwards.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "base/files.h"

namespace hearth::testing {

class ScratchFolder {
 public:
  ScratchFolder() {
    char name[] = "/tmp/hearth_test_XXXXXX";
    const char* made = ::mkdtemp(name);
    HEARTH_CHECK(made != nullptr);
    path_ = made;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  // Of a file inside; "": the folder itself.
  std::string path(std::string_view name) const {
    return name.empty() ? path_ : join_path(path_, name);
  }

 private:
  std::string path_;
};

}  // namespace hearth::testing
