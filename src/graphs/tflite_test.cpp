// Bad TFLite files are refused with the reason.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/files.h"
#include "graphs/tflite/import.h"

namespace hearth::graphs {
namespace {

TEST_CASE("a damaged TFLite file is refused or read, never more") {
  const std::string folder = "src/graphs/tflite_fuzz_corpus";
  const auto names = list_folder(folder);
  if (!names) {
    fmt::print("skipped: {} is not here\n", folder);
    return;
  }
  for (const std::string& name : *names) {
    if (!name.ends_with(".tflite")) continue;  // what a fuzzer found
    const std::string good = read_file(join_path(folder, name), 1 << 20).value();
    CHECK(import_tflite(MappedFile::of_program(bytes_of(good))).ok());
    for (std::size_t n = 0; n < good.size(); n += 7) {
      const std::string cut = good.substr(0, n);
      const auto program = import_tflite(MappedFile::of_program(bytes_of(cut)));
      if (!program) CHECK(!program.error().message().empty());
      for (const char c : {'\0', '\x7f', '\xff'}) {
        std::string bad = good;
        bad[n] = c;
        const auto other = import_tflite(MappedFile::of_program(bytes_of(bad)));
        if (!other) CHECK(!other.error().message().empty());
      }
    }
  }
}

TEST_CASE("what a bad TFLite file says") {
  const struct {
    const char* what;
    std::string text;
    const char* says;
  } rows[] = {
      {"nothing", "", "fewer than 4 bytes"},
      {"a root outside", std::string("\xff\xff\xff\x7fTFL3", 8), "outside the file"},
      {"no table", std::string(64, '\0'), "outside the file"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto got = import_tflite(MappedFile::of_program(bytes_of(row.text)));
    REQUIRE(!got.ok());
    CHECK(got.error().kind() == ErrorKind::corrupt);
    INFO(got.error().message());
    CHECK(got.error().message().find(row.says) != std::string::npos);
  }
}

TEST_CASE("variables of gigabytes are refused before they are allocated") {
  const std::string bad =
      read_file("src/graphs/tflite_fuzz_corpus/variable_of_three_gigabytes", 1 << 20).value();
  const auto got = import_tflite(MappedFile::of_program(bytes_of(bad)));
  REQUIRE(!got.ok());
  INFO(got.error().message());
  CHECK(got.error().kind() == ErrorKind::exhausted);
  CHECK(got.error().message().find("3072 MB: needs 1024 at most") != std::string::npos);
}

TEST_CASE("scales that no factor holds are refused") {
  const std::string good =
      read_file("src/graphs/tflite_fuzz_corpus/leaky_relu0.tflite", 1 << 20).value();
  constexpr float scale =
      0.0017488234443590045f;  // of input and output, each held in the file once
  const std::string held(reinterpret_cast<const char*>(&scale), sizeof(scale));
  const std::size_t first = good.find(held), second = good.find(held, first + 1);
  REQUIRE(second != std::string::npos);
  const auto said = [&](std::size_t at, float value) -> std::string {
    std::string bad = good;
    std::memcpy(bad.data() + at, &value, sizeof(value));
    const auto got = import_tflite(MappedFile::of_program(bytes_of(bad)));
    return got ? "" : std::string(got.error().message());
  };
  for (const std::size_t at : {first, second})
    for (const float value : {0.0f, -1.0f, HUGE_VALF, std::nanf("")}) {
      CAPTURE(value);
      const std::string message = said(at, value);
      CAPTURE(message);
      CHECK(message.find("a scale of") != std::string::npos);
    }
  const std::string apart = said(first, 1e-45f) + said(second, 1e-45f);  // from one to the other
  CHECK(apart.find("scales too far apart") != std::string::npos);
}

}  // namespace
}  // namespace hearth::graphs
