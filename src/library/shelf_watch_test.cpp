#include "library/shelf_watch.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>

using namespace hearth;

namespace {

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 4000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace

TEST_CASE("folders of models are watched, and those that come") {
  char name[] = "/tmp/hearth-shelf-XXXXXX";
  REQUIRE(::mkdtemp(name) != nullptr);
  const std::string root = name;
  for (const char* folder : {"store", "shelf/deep"})
    std::filesystem::create_directories(root + "/" + folder);
  LibraryFolders folders;
  folders.models = root + "/store";
  folders.shelves = {{"folder", root + "/shelf"}, {"folder", root + "/absent"}};
  std::atomic<int> changes = 0;
  std::atomic<bool> told = false;
  {
    const ShelfWatch watch(folders, [&](bool is_told) {
      told = is_told;
      ++changes;
    });
    REQUIRE(eventually([&] { return changes == 1; }));
    CHECK(told);  // what is absent has nothing to tell
    for (const char* file : {"shelf/a.gguf", "shelf/deep/b.gguf", "shelf/new/deeper/c.gguf",
                             "store/model/d", "absent/e.gguf"}) {
      CAPTURE(std::string(file));
      const int before = changes;
      const std::string path = root + "/" + file;
      std::filesystem::create_directories(std::filesystem::path(path).parent_path());
      std::ofstream(path) << "x";
      CHECK(eventually([&] { return changes > before; }));
    }
  }
  const int last = changes;
  std::ofstream(root + "/shelf/late.gguf") << "x";
  CHECK(changes == last);
  std::filesystem::remove_all(root);
}
