// Split GGUF files, and files that are no files.  Ids are those of the catalogue of bad inputs.
#include <doctest/doctest.h>
#include <fmt/core.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "base/bytes.h"
#include "base/files.h"
#include "formats/gguf_writer.h"
#include "formats/mutations.h"
#include "formats/package.h"
#include "formats/scratch_folder.h"

using namespace hearth;
using namespace hearth::testing;

namespace {

const std::string four_floats(16, '\1');

struct Shard {
  std::string name = "m-00001-of-00002.gguf";
  std::uint16_t no = 0, count = 2;
  std::string tensor = "a";
  std::int32_t tensors = 2;
  std::string architecture = {};  // empty: none
};

void put(const ScratchFolder& folder, const Shard& shard) {
  GgufContents contents;
  contents.metadata = {{"split.no", GgufValue::of(shard.no)},
                       {"split.count", GgufValue::of(shard.count)},
                       {"split.tensors.count", GgufValue::of(shard.tensors)}};
  if (!shard.architecture.empty())
    contents.metadata.push_back({"general.architecture", GgufValue::text(shard.architecture)});
  contents.tensors.push_back({shard.tensor, Dtype::f32, {4}, [] {
                                return Result<std::span<const std::byte>>(bytes_of(four_floats));
                              }});
  REQUIRE(write_gguf(folder.path(shard.name), contents));
}

const Shard first{.architecture = "llama"};
const Shard second{.name = "m-00002-of-00002.gguf", .no = 1, .tensor = "b"};

template <typename Change>
Shard changed(Shard shard, Change change) {
  change(shard);
  return shard;
}

}  // namespace

TEST_CASE("any shard opens the whole model") {
  const ScratchFolder folder;
  put(folder, first);
  put(folder, second);
  for (const char* name : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf", ""}) {
    CAPTURE(std::string(name));
    const auto package = open_package(folder.path(name));
    REQUIRE_MESSAGE(package, (package ? "" : package.error().message()));
    CHECK(package->format == "gguf");
    CHECK(package->naming == Naming::gguf);
    CHECK(package->tensors.size() == 2);
    CHECK(package->find("a"));
    CHECK(text_of(package->find("b")->data) == four_floats);
    CHECK(!package->find("c"));
    CHECK(*package->metadata.string("general.architecture") == "llama");
    CHECK(package->path == folder.path(name));
    CHECK(package->file_bytes > 200);
  }
}

TEST_CASE("G49: shards that do not belong together are refused") {
  const struct {
    std::string what;
    std::vector<Shard> shards;
    ErrorKind kind;
    std::string says;
  } rows[] = {
      {"a shard is missing", {first}, ErrorKind::not_found, "m-00002-of-00002.gguf"},
      {"count 0",
       {changed(first, [](Shard& s) { s.count = 0; })},
       ErrorKind::corrupt,
       "'split.count': 0"},
      {"count 65535",
       {changed(first, [](Shard& s) { s.count = 65535; })},
       ErrorKind::corrupt,
       "needs 1 to 1024"},
      {"count is not the name's",
       {changed(first, [](Shard& s) { s.count = 3; }), second},
       ErrorKind::corrupt,
       "of-00003"},
      {"number is not the name's",
       {changed(first, [](Shard& s) { s.no = 1; }), second},
       ErrorKind::corrupt,
       "split.no = 1"},
      {"number past the count",
       {first, changed(second, [](Shard& s) { s.no = 7; })},
       ErrorKind::corrupt,
       "split.no = 7"},
      {"the same shard twice",
       {first, changed(second, [](Shard& s) { s.no = 0; })},
       ErrorKind::corrupt,
       "split.no = 0"},
      {"a tensor twice",
       {first, changed(second, [](Shard& s) { s.tensor = "a"; })},
       ErrorKind::corrupt,
       "tensor 'a': twice"},
      {"shards of different models",
       {first, changed(second, [](Shard& s) { s.architecture = "gemma"; })},
       ErrorKind::corrupt,
       "'general.architecture': differs"},
      {"a tensor too few",
       {first, changed(second, [](Shard& s) { s.tensors = 3; })},
       ErrorKind::corrupt,
       "split.tensors.count = 3: the shards hold 2"},
      {"name without numbers",
       {changed(first, [](Shard& s) { s.name = "m-00001-of-0000x.gguf"; })},
       ErrorKind::corrupt,
       "must be like"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const ScratchFolder folder;
    for (const Shard& shard : row.shards) put(folder, shard);
    const auto package = open_package(folder.path(row.shards[0].name));
    REQUIRE(!package);
    CAPTURE(package.error().message());
    CHECK(package.error().kind() == row.kind);
    CHECK(package.error().message().find(row.says) != std::string::npos);
  }
}

TEST_CASE("a split of one needs no name, and a name alone makes no split") {
  const ScratchFolder folder;
  put(folder, {.name = "whole.gguf", .count = 1, .tensors = 1});
  CHECK(open_package(folder.path("whole.gguf")));
  GgufContents contents;
  REQUIRE(write_gguf(folder.path("x-00001-of-00002.gguf"), contents));
  CHECK(open_package(folder.path("x-00001-of-00002.gguf")));
}

TEST_CASE("a folder of several GGUF models asks for a name") {
  const ScratchFolder folder;
  REQUIRE(write_gguf(folder.path("a.gguf"), {}));
  CHECK(open_package(folder.path("")));
  REQUIRE(write_gguf(folder.path("b.gguf"), {}));
  const auto package = open_package(folder.path(""));
  REQUIRE(!package);
  CHECK(package.error().kind() == ErrorKind::invalid);
  CHECK(package.error().message().find("2 GGUF models") != std::string::npos);
}

TEST_CASE("GEN-9: what is no file is refused") {
  const ScratchFolder folder;
  REQUIRE(::mkfifo(folder.path("fifo").c_str(), 0600) == 0);
  REQUIRE(::symlink("loop", folder.path("loop").c_str()) == 0);
  REQUIRE(::mkdir(folder.path("empty").c_str(), 0700) == 0);
  REQUIRE(replace_file(folder.path("nothing"), {}));
  REQUIRE(replace_file(folder.path("sparse"), bytes_of("GGUF")));
  REQUIRE(::truncate(folder.path("sparse").c_str(), 1ll << 36) == 0);
  const struct {
    std::string path;
    ErrorKind kind;
  } rows[] = {
      {folder.path("fifo"), ErrorKind::invalid},
      {"/dev/zero", ErrorKind::invalid},
      {folder.path("loop"), ErrorKind::io},
      {folder.path("absent"), ErrorKind::not_found},
      {folder.path("empty"), ErrorKind::unsupported},
      {folder.path("nothing"), ErrorKind::corrupt},
      {folder.path("sparse"), ErrorKind::unsupported},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    const auto package = open_package(row.path);
    REQUIRE(!package);
    CAPTURE(package.error().message());
    CHECK(package.error().kind() == row.kind);
  }
}

TEST_CASE("what is not read is named") {
  const struct {
    std::string bytes, says;
  } rows[] = {
      {"FUGG\3\0\0\0", "bytes reversed"},
      {"algg\1\2\3\4", "older than GGUF"},
      {"PK\x03\x04zzzz", "ZIP archive"},
      {"1234TFL3xxxx", "TFLite"},
      {"version https://git-lfs.github.com", "Git LFS"},
      {"<!DOCTYPE html>", "web page"},
      {"plain text", "not a model file"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.bytes);
    const ScratchFolder folder;
    REQUIRE(replace_file(folder.path("m"), bytes_of(row.bytes)));
    const auto package = open_package(folder.path("m"));
    REQUIRE(!package);
    CHECK(package.error().kind() == ErrorKind::unsupported);
    CHECK(package.error().message().find(row.says) != std::string::npos);
  }
}
