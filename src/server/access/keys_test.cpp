#include "server/access/keys.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/files.h"

using namespace hearth;
using namespace hearth::server;

namespace {

int verdict(KeyRing& ring, http::Headers headers, Scope scope = Scope::infer) {
  return ring.check(headers, scope).status;
}

// A file of mode 0600 that goes away.
struct KeyFile {
  explicit KeyFile(const std::string& text) {
    const int descriptor = mkstemp(path.data());
    REQUIRE(descriptor >= 0);
    std::FILE* file = ::fdopen(descriptor, "w");
    std::fputs(text.c_str(), file);
    std::fclose(file);
  }
  ~KeyFile() {
    std::remove(path.c_str());
    std::remove((path + ".lock").c_str());
  }
  std::string path = "/tmp/hearth-keys-XXXXXX";
};

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
  const KeyFile file("# people\nplain-key-0000001\nplain-key-0000002 infer\n" +
                     std::string("scrape-key-000001 metrics # grafana\r\n\nsha256:") + hex);
  const auto ring = KeyRing::open({.lines = file.path, .store = ""});
  REQUIRE(ring);
  CHECK((*ring)->is_needed());
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
    CHECK(verdict(**ring, row.headers, row.scope) == row.status);
  }
}

TEST_CASE("without keys everybody is let in, whatever they carry") {
  KeyRing ring;
  CHECK(verdict(ring, {}) == 0);
  CHECK(verdict(ring, bearer("anything")) == 0);
}

TEST_CASE("key files") {
  for (const char* text : {"", "# nothing\n", "short\n", "sha256:123\n", "plain-key-0000001 root\n",
                           "plain-key-0000001 infer more\n"}) {
    CAPTURE(std::string(text));
    CHECK(!parse_key_lines(text));
  }
  CHECK(!parse_key_lines(std::string(513, 'a')));
  CHECK(parse_key_lines(std::string(512, 'a')));
  CHECK(parse_key_lines(std::string(16, 'a')));
  CHECK(!parse_key_lines(std::string(15, 'a')));

  const KeyFile file("plain-key-0000001\n");
  CHECK(KeyRing::open({.lines = file.path, .store = ""}));
  ::chmod(file.path.c_str(), 0640);
  const auto open = KeyRing::open({.lines = file.path, .store = ""});
  REQUIRE(!open);
  CHECK(open.error().message().find("0600") != std::string::npos);
  CHECK(!KeyRing::open({.lines = "/nowhere/keys", .store = ""}));
}

TEST_CASE("keys that are made: salted, revoked, expired, and known while the server runs") {
  const KeyFile file("{\"keys\":[]}");
  const auto ring = KeyRing::open({.lines = "", .store = file.path});
  REQUIRE(ring);
  CHECK(!(*ring)->is_needed());
  CHECK(verdict(**ring, {}) == 0);

  const NewKey ada = make_key("ada", *parse_scopes("chat"), {}, 0, 1);
  const NewKey old = make_key("old", *parse_scopes("all"), {}, 2, 1);
  const auto add = [&](const KeyRecord& record) {
    return change_key_store(file.path, [&](std::vector<KeyRecord>& records) -> Status {
      records.push_back(record);
      return Done{};
    });
  };
  REQUIRE(add(ada.record).ok());
  REQUIRE(add(old.record).ok());
  const auto text = read_file(file.path, 1 << 20);
  REQUIRE(text);
  CHECK(text->find(ada.text) == std::string::npos);
  CHECK(text->find(ada.record.digest) != std::string::npos);
  struct stat facts{};
  REQUIRE(::stat(file.path.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0600);

  const auto fresh = KeyRing::open({.lines = "", .store = file.path});
  REQUIRE(fresh);
  CHECK((*fresh)->is_needed());
  CHECK(verdict(**fresh, {}) == 401);
  CHECK(verdict(**fresh, bearer(ada.text), Scope::chat) == 0);
  CHECK(verdict(**fresh, bearer(ada.text), Scope::infer) == 0);
  CHECK(verdict(**fresh, bearer(ada.text), Scope::files) == 0);
  CHECK(verdict(**fresh, bearer(ada.text), Scope::embed) == 403);
  CHECK(verdict(**fresh, bearer(ada.text.substr(0, ada.text.size() - 1) + "!"), Scope::chat) ==
        401);
  CHECK(verdict(**fresh, bearer(old.text), Scope::chat) == 401);

  // The one that runs since before the keys has not looked for a second.
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  CHECK(verdict(**ring, {}) == 401);
  CHECK(verdict(**ring, bearer(ada.text), Scope::chat) == 0);
  REQUIRE(change_key_store(file.path, [](std::vector<KeyRecord>& records) -> Status {
            records[0].revoked = 5;
            return Done{};
          }).ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  CHECK(verdict(**ring, bearer(ada.text), Scope::chat) == 401);
}

TEST_CASE("scopes by name") {
  const struct {
    std::string text;
    std::vector<std::string> names;
  } rows[] = {{"chat", {"chat"}},
              {"embed,chat", {"chat", "embed"}},
              {"infer", {"chat", "embed", "models", "collections"}},
              {"manage", {"admin"}},
              {"all", {"chat", "embed", "models", "collections", "metrics", "admin"}}};
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto scopes = parse_scopes(row.text);
    REQUIRE(scopes);
    CHECK(scope_names(*scopes) == row.names);
  }
  CHECK(!parse_scopes("root"));
  CHECK(!parse_scopes("chat,,embed"));
}
