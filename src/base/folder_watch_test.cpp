#include "base/folder_watch.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

using namespace hearth;

TEST_CASE("whatever happens in a folder is told, and nothing else") {
  char name[] = "/tmp/hearth-watch-XXXXXX";
  REQUIRE(::mkdtemp(name) != nullptr);
  const std::string folder = name, file = folder + "/file", other = folder + "/other";
  FolderWatch watch;
  CHECK(watch.add(folder));
  CHECK(watch.add(folder));  // again
  CHECK(!watch.add(folder + "/absent"));
  CHECK(!watch.wait(Milliseconds(0)));
  const struct {
    std::string what;
    std::function<bool()> happens;
  } rows[] = {
      {"a file comes", [&] { return bool(std::ofstream(file) << "1"); }},
      {"it is written", [&] { return bool(std::ofstream(file) << "2"); }},
      {"it is renamed", [&] { return std::rename(file.c_str(), other.c_str()) == 0; }},
      {"its mode changes", [&] { return ::chmod(other.c_str(), 0600) == 0; }},
      {"a link comes", [&] { return ::symlink("other", file.c_str()) == 0; }},
      {"a file goes", [&] { return ::unlink(other.c_str()) == 0 && ::unlink(file.c_str()) == 0; }},
      {"a folder comes", [&] { return ::mkdir(file.c_str(), 0700) == 0; }},
      {"a folder goes", [&] { return ::rmdir(file.c_str()) == 0; }},
      {"the folder itself goes", [&] { return ::rmdir(folder.c_str()) == 0; }},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    REQUIRE(row.happens());
    CHECK(watch.wait(Milliseconds(60'000)));
    while (watch.wait(Milliseconds(0))) {
    }
  }
  CHECK(!watch.add(folder));
}

TEST_CASE("who waits is woken") {
  FolderWatch watch;
  std::jthread waker([&] { watch.wake(); });
  CHECK(!watch.wait(Milliseconds(60'000)));
}
