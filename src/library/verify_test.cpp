// Levels of verification: what each one finds in a file that is whole, cut or damaged.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "formats/scratch_folder.h"
#include "library/builtin.h"
#include "library/verify.h"

namespace hearth {
namespace {

LocalModel model_at(const std::string& path) {
  LocalModel model;
  model.name = model.path = path;
  model.tool = "path";
  return model;
}

// The built-in model's file, `change` done to its bytes.
template <typename Change>
LocalModel put_model(const testing::ScratchFolder& folder, const char* name, Change change) {
  const auto file = builtin_file(builtin_chat);
  std::vector<std::byte> bytes(file->begin(), file->end());
  change(bytes);
  REQUIRE(replace_file(folder.path(name), bytes).ok());
  return model_at(folder.path(name));
}

}  // namespace

TEST_CASE("each level finds what the one before cannot see") {
  using enum VerifyLevel;
  const testing::ScratchFolder folder;
  const LocalModel whole = put_model(folder, "whole.gguf", [](auto&) {});
  const LocalModel cut = put_model(folder, "cut.gguf", [](auto& b) { b.resize(b.size() / 2); });
  const LocalModel other = put_model(folder, "other.gguf", [](auto& b) { b[0] = std::byte{0}; });
  const LocalModel renamed = put_model(folder, "renamed.gguf", [](auto& b) {
    const std::string name = "blk.0.attn_output.weight";
    const auto place = std::search(b.begin(), b.end(), name.begin(), name.end(),
                                   [](std::byte x, char c) { return static_cast<char>(x) == c; });
    REQUIRE(place != b.end());
    *(place + 4) = std::byte{'7'};  // a layer that there is not
  });
  const LocalModel burnt = put_model(folder, "burnt.gguf", [](auto& b) {
    std::fill(b.end() - 300'000, b.end(), std::byte{0xFF});
  });
  const struct {
    std::string what;
    const LocalModel& model;
    VerifyLevel level;
    bool is_right;
    VerifyLevel failed_at = header;
  } rows[] = {
      {"whole, header", whole, header, true},
      {"whole, tensors", whole, tensors, true},
      {"whole, run", whole, run, true},
      {"no model, header", other, header, false, header},
      {"cut, header", cut, header, false, header},
      {"cut, run", cut, run, false, header},
      {"renamed, header", renamed, header, true},
      {"renamed, tensors", renamed, tensors, false, tensors},
      {"burnt, tensors", burnt, tensors, true},
      {"burnt, run", burnt, run, false, run},
      {"nothing is promised, checksum", burnt, checksum, true},
  };
  LibraryOptions options;
  options.threads = 1;
  const auto library = Library::create(options);
  REQUIRE(library);
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto verdict =
        verify(row.model, row.level, {}, {}, [&] { return (*library)->acquire(row.model.path); });
    REQUIRE(verdict);
    INFO(verdict->problem);
    CHECK(verdict->is_right() == row.is_right);
    if (!row.is_right) CHECK(verdict->failed_at == row.failed_at);
    CHECK(verdict->advice(row.model).empty() == row.is_right);
  }
}

TEST_CASE("levels have names") {
  for (const char* name : {"header", "tensors", "checksum", "run"})
    CHECK(name_of(verify_level(name).value()) == name);
  CHECK(verify_level("all").error().kind() == ErrorKind::invalid);
}

}  // namespace hearth
