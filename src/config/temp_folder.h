// For tests: a folder that is gone at the end of the test.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/files.h"

namespace hearth {

class TempFolder {
 public:
  TempFolder() {
    char name[] = "/tmp/hearth-config-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~TempFolder() {
    if (std::system(("rm -rf " + path_).c_str()) != 0) MESSAGE(path_ << " stays");
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  // Atomically, as editors do: another file takes the name.
  std::string put(std::string_view name, std::string_view text) const {
    std::string file = join_path(path_, name);
    REQUIRE(replace_file(file, bytes_of(text)).ok());
    return file;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace hearth
