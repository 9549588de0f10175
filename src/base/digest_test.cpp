#include "base/digest.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <array>
#include <string>

#include "base/bytes.h"
#include "base/user_folders.h"

namespace hearth {

// Source: FIPS 180-2, appendix B.
TEST_CASE("SHA-256 of the standard's texts, at once and in pieces") {
  const struct {
    std::string text, digest;
  } rows[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
  };
  Sha256Stream stream;
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CHECK(hex_text(sha256(row.text)) == row.digest);
    stream.restart();
    for (const char& c : row.text) stream.add(bytes_of({&c, 1}));
    CHECK(hex_text(stream.finish()) == row.digest);
  }
}

TEST_CASE("digits are read back, and nothing else is") {
  std::array<std::uint8_t, 3> bytes{};
  REQUIRE(parse_hex("00ff1a", bytes));
  CHECK(hex_text(bytes) == "00ff1a");
  for (const char* wrong : {"", "00ff1", "00ff1a0", "00FF1A", "00ff1g"}) {
    CAPTURE(std::string(wrong));
    CHECK(!parse_hex(wrong, bytes));
  }
}

TEST_CASE("a person's folders follow the environment, where it holds absolute paths") {
  const auto with = [](const char* name, const char* value, UserFolder folder) {
    const char* before = ::getenv(name);
    const std::string kept = before ? before : "";
    ::setenv(name, value, 1);
    const std::string path = in_user_folder(folder, "hearth/x");
    before ? ::setenv(name, kept.c_str(), 1) : ::unsetenv(name);
    return path;
  };
  CHECK(with("XDG_DATA_HOME", "/d", UserFolder::data) == "/d/hearth/x");
  CHECK(with("XDG_CONFIG_HOME", "relative", UserFolder::config) ==
        home_folder() + "/.config/hearth/x");
  CHECK(with("XDG_CACHE_HOME", "", UserFolder::cache) == home_folder() + "/.cache/hearth/x");
}

}  // namespace hearth
