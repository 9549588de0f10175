#include "config/secrets.h"

#include <doctest/doctest.h>

#include "config/checks.h"
#include "config/temp_folder.h"

using namespace hearth;

TEST_CASE("secrets are read where settings say they are") {
  const TempFolder folder;
  ::setenv("HEARTH_TEST_SECRET", "hf_abc", 1);
  ::setenv("HEARTH_TEST_EMPTY", " \n", 1);
  const std::string file = folder.put("token", "hf_def\n");
  const std::string open = folder.put("open", "hf_ghi\n");
  REQUIRE(::chmod(open.c_str(), 0644) == 0);
  const std::string long_one = folder.put("long", std::string(70'000, 'x'));
  const struct {
    std::string reference, holds, says;
    ErrorKind kind;
  } rows[] = {
      {"", "", "", ErrorKind::invalid},
      {"env:HEARTH_TEST_SECRET", "hf_abc", "", ErrorKind::invalid},
      {"file:" + file, "hf_def", "", ErrorKind::invalid},
      {"env:HEARTH_TEST_NONE", "", "has no variable HEARTH_TEST_NONE", ErrorKind::not_found},
      {"env:HEARTH_TEST_EMPTY", "", "is empty", ErrorKind::not_found},
      {"file:" + open, "", "mode 0644: needs 0600", ErrorKind::invalid},
      {"file:" + folder.path(), "", "cannot be read", ErrorKind::not_found},
      {"file:/nonexistent", "", "cannot be read", ErrorKind::not_found},
      {"file:" + long_one, "", "too long", ErrorKind::invalid},
      {"hf_secret", "", "needs env:NAME", ErrorKind::invalid},
      {"env:", "", "needs env:NAME", ErrorKind::invalid},
  };
  for (const auto& row : rows) {
    CAPTURE(row.reference);
    const auto secret = read_secret(row.reference);
    CHECK(secret.ok() == row.says.empty());
    if (secret) CHECK(*secret == row.holds);
    if (secret) continue;
    CAPTURE(secret.error().message());
    CHECK(secret.error().kind() == row.kind);
    CHECK(secret.error().message().contains(row.says));
    CHECK(!secret.error().message().contains("hf_"));
  }
}

TEST_CASE("the keyring is asked through secret-tool, without a shell") {
  const TempFolder folder;
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", folder.path().c_str(), 1);
  const auto none = read_secret("keyring:hub");
  REQUIRE(!none);
  CHECK(none.error().kind() == ErrorKind::unavailable);
  CHECK(none.error().message().contains("libsecret-tools"));

  // A keyring of four entries, one of them behind a lock and one that takes its time.
  const std::string tool =
      folder.put("secret-tool",
                 "#!/bin/sh\n"
                 "case \"$*\" in\n"
                 "'lookup service hearth name hub; rm x') echo hf_key;;\n"
                 "'search service hearth name locked') echo '[/1]';;\n"
                 "'lookup service hearth name slow') exec /bin/sleep 60;;\n"
                 "'lookup service hearth name none') echo 'secret-tool: no bus' >&2; exit 1;;\n"
                 "*) exit 1;;\n"
                 "esac\n");
  REQUIRE(::chmod(tool.c_str(), 0700) == 0);
  const struct {
    std::string reference, holds, says;
    ErrorKind kind;
  } rows[] = {
      {"keyring:hub; rm x", "hf_key", "", ErrorKind::invalid},
      {"keyring:other", "", "secret-tool store --label=Hearth", ErrorKind::not_found},
      {"keyring:locked", "", "is locked", ErrorKind::unavailable},
      {"keyring:slow", "", "did not answer within", ErrorKind::unavailable},
      {"keyring:none", "", "cannot be reached: secret-tool: no bus", ErrorKind::unavailable},
  };
  for (const auto& row : rows) {
    CAPTURE(row.reference);
    const auto secret =
        read_secret(row.reference, Milliseconds(row.reference == "keyring:slow" ? 50 : 60'000));
    CHECK(secret.ok() == row.says.empty());
    if (secret) CHECK(*secret == row.holds);
    if (secret) continue;
    CHECK(secret.error().kind() == row.kind);
    CHECK(secret.error().message().contains(row.says));
  }
  ::setenv("PATH", path.c_str(), 1);
}

TEST_CASE("a secret itself is refused in any layer, and not told") {
  const std::string secret = "hf_secret";
  const TempFolder folder;
  const std::string file = folder.put("config.toml", "[library]\ntoken = \"" + secret + "\"\n");
  const ConfigSources rows[] = {
      {.files = {{Layer::user_file, file}}},
      {.environment = {{"HEARTH_LIBRARY_TOKEN", secret}}},
      {.flags = {{"library.token", secret}}},
  };
  for (const ConfigSources& sources : rows) {
    const auto loaded = load_config(sources);
    REQUIRE(!loaded);
    CHECK(loaded.error().message().contains("library.token: needs env:NAME, file:PATH"));
    CHECK(!loaded.error().message().contains(secret));
  }
}

TEST_CASE("values that are at odds with each other or the machine") {
  const ConfigFacts facts{.memory_bytes = 8ull << 30, .first_free_port = 1024};
  const struct {
    std::string what;
    void (*set)(Config& config);
    Conflict::Kind kind;
    std::string says;
  } rows[] = {
      {"half of TLS", [](Config& c) { c.server.tls_cert = "a"; }, Conflict::Kind::contradiction,
       "TLS needs both"},
      {"open without keys",
       [](Config& c) { c.server.host = "0.0.0.0", c.server.key_store = "/nowhere"; },
       Conflict::Kind::exposure, "needs server.api_key_file"},
      {"more context than the most",
       [](Config& c) { c.runtime.context = 9, c.runtime.max_context = 8; },
       Conflict::Kind::contradiction, "runtime.context = 9 is more than runtime.max_context = 8"},
      {"more memory than there is", [](Config& c) { c.models.memory_mb = 8000; },
       Conflict::Kind::memory_budget, "need 8500 MiB: there are 8192"},
      {"a port of the system's", [](Config& c) { c.server.port = 80; }, Conflict::Kind::port,
       "ports below 1024"},
  };
  CHECK(find_conflicts({}, facts).empty());
  for (const auto& row : rows) {
    CAPTURE(row.what);
    Config config;
    row.set(config);
    const auto conflicts = find_conflicts(config, facts);
    REQUIRE(conflicts.size() == 1);
    CHECK(conflicts[0].kind == row.kind);
    CHECK(conflicts[0].message.contains(row.says));
    CHECK(!check_config(config, facts).ok());
    CHECK(check_config(config).ok() == (row.kind != Conflict::Kind::contradiction));
  }
  CHECK(!find_dimension_conflict("a", 384, "m", 384));
  const auto conflict = find_dimension_conflict("notes", 384, "m", 768);
  REQUIRE(conflict);
  CHECK(name_of(conflict->kind) == "dimension");
  CHECK(conflict->message.contains("holds vectors of 384 numbers, its embedder m makes 768"));
}
