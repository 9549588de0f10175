#include "server/keys.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>

using namespace hearth;
using namespace hearth::server;

namespace {

int verdict(const KeyRing& ring, http::Headers headers, Scope scope = Scope::infer) {
  return ring.check(headers, scope).status;
}
http::Headers bearer(std::string key) { return {{"Authorization", "Bearer " + std::move(key)}}; }

}  // namespace

TEST_CASE("which keys open what") {
  // The digest is that of "digested-key-0001".
  const http::Sha256 digest = http::sha256("digested-key-0001");
  std::string hex;
  for (const auto byte : digest) {
    char text[3];
    std::snprintf(text, sizeof text, "%02x", byte);
    hex += text;
  }
  const auto ring =
      KeyRing::parse("# people\nplain-key-0000001\nplain-key-0000002 infer\n" +
                     std::string("scrape-key-000001 metrics # grafana\r\n\nsha256:") + hex);
  REQUIRE(ring);
  CHECK(ring->size() == 4);
  const struct {
    std::string what;
    http::Headers headers;
    Scope scope;
    int status;
  } rows[] = {
      {"bearer", bearer("plain-key-0000001"), Scope::infer, 0},
      {"lower case scheme", {{"authorization", "bearer plain-key-0000001"}}, Scope::infer, 0},
      {"x-api-key", {{"X-Api-Key", "plain-key-0000001"}}, Scope::infer, 0},
      {"digest", bearer("digested-key-0001"), Scope::infer, 0},
      {"all scopes", bearer("plain-key-0000001"), Scope::metrics, 0},
      {"one scope", bearer("plain-key-0000002"), Scope::metrics, 403},
      {"metrics", bearer("scrape-key-000001"), Scope::metrics, 0},
      {"metrics for text", bearer("scrape-key-000001"), Scope::infer, 403},
      {"public", {}, Scope::none, 0},
      {"none", {}, Scope::infer, 401},
      {"empty", bearer(""), Scope::infer, 401},
      {"scheme alone", {{"Authorization", "Bearer"}}, Scope::infer, 401},
      {"basic", {{"Authorization", "Basic plain-key-0000001"}}, Scope::infer, 401},
      {"unknown", bearer("plain-key-0000009"), Scope::infer, 401},
      {"prefix", bearer("plain-key-000000"), Scope::infer, 401},
      {"longer", bearer("plain-key-00000011"), Scope::infer, 401},
      {"the digest itself", bearer("sha256:" + hex), Scope::infer, 401},
      {"8 KiB", bearer(std::string(8000, 'a')), Scope::infer, 401},
      {"two headers",
       {{"Authorization", "Bearer plain-key-0000001"}, {"Authorization", "Bearer x"}},
       Scope::infer,
       401},
      {"two that differ",
       {{"Authorization", "Bearer plain-key-0000001"}, {"x-api-key", "other"}},
       Scope::infer,
       401},
      {"two that agree",
       {{"Authorization", "Bearer plain-key-0000001"}, {"x-api-key", "plain-key-0000001"}},
       Scope::infer,
       0},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    CHECK(verdict(*ring, row.headers, row.scope) == row.status);
  }
}

TEST_CASE("without keys everybody is let in, whatever they carry") {
  const KeyRing ring;
  CHECK(verdict(ring, {}) == 0);
  CHECK(verdict(ring, bearer("anything")) == 0);
}

TEST_CASE("key files") {
  for (const char* text : {"", "# nothing\n", "short\n", "sha256:123\n", "plain-key-0000001 root\n",
                           "plain-key-0000001 infer more\n"}) {
    CAPTURE(std::string(text));
    CHECK(!KeyRing::parse(text));
  }
  CHECK(!KeyRing::parse(std::string(513, 'a')));
  CHECK(KeyRing::parse(std::string(512, 'a')));
  CHECK(KeyRing::parse(std::string(16, 'a')));
  CHECK(!KeyRing::parse(std::string(15, 'a')));

  char path[] = "/tmp/hearth-keys-XXXXXX";
  const int descriptor = mkstemp(path);
  REQUIRE(descriptor >= 0);
  std::FILE* file = ::fdopen(descriptor, "w");
  std::fputs("plain-key-0000001\n", file);
  std::fclose(file);
  CHECK(KeyRing::load(path));
  ::chmod(path, 0640);
  const auto open = KeyRing::load(path);
  REQUIRE(!open);
  CHECK(open.error().message().find("0600") != std::string::npos);
  std::remove(path);
  CHECK(!KeyRing::load(path));
}
