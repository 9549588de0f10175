#include "config/config.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/bytes.h"
#include "base/files.h"

using namespace hearth;

namespace {

// A settings file that lives as long as the test.
struct TempFile {
  explicit TempFile(std::string_view text) {
    char name[] = "/tmp/hearth-config-XXXXXX";
    const int descriptor = mkstemp(name);
    REQUIRE(descriptor >= 0);
    ::close(descriptor);
    path = name;
    REQUIRE(replace_file(path, bytes_of(text)).ok());
  }
  ~TempFile() { std::remove(path.c_str()); }
  std::string path;
};

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_CASE("later layers win, and each value knows where it came from") {
  const TempFile file(
      "[server]\nport = 8001\nhost = \"localhost\"\nallow_origin = [\"https://a\", \"https://b\"]\n"
      "[runtime]\nthreads = 3\ndeterministic = true\n");
  ConfigSources sources;
  sources.file = file.path;
  sources.environment = {{"HEARTH_SERVER_PORT", "8002"},
                         {"HEARTH_RUNTIME_THREADS", "4"},
                         {"HEARTH_SERVER_ALLOW_HOST", "x,y"},
                         {"HEARTH_DATA", "elsewhere"}};
  sources.flags = {{"server.port", "8003"}};
  const auto loaded = load_config(sources);
  REQUIRE(loaded);
  CHECK(loaded->config.server.port == 8003);
  CHECK(loaded->config.server.host == "localhost");
  CHECK(loaded->config.server.allow_origin == std::vector<std::string>{"https://a", "https://b"});
  CHECK(loaded->config.server.allow_host == std::vector<std::string>{"x", "y"});
  CHECK(loaded->config.runtime.threads == 4);
  CHECK(loaded->config.runtime.deterministic);
  CHECK(loaded->config.server.queue == 512);
  CHECK(loaded->origins.at("server.port") == "--port");
  CHECK(loaded->origins.at("server.host") == file.path + ":3");
  CHECK(loaded->origins.at("runtime.threads") == "HEARTH_RUNTIME_THREADS");
  CHECK(loaded->origins.at("server.queue") == "default");
}

TEST_CASE("an absent file is no error") {
  ConfigSources sources;
  sources.file = "/nonexistent/config.toml";
  CHECK(load_config(sources));
}

TEST_CASE("errors name the place, the setting, what it held and what it needs") {
  const struct {
    std::string file, variable, value, says;
  } rows[] = {
      {"[server]\nport = 99999\n", "", "",
       ":2: server.port = '99999': needs a whole number from 0 to 65535"},
      {"[server]\nport = \"eighty\"\n", "", "", "server.port = 'eighty': needs a whole number"},
      {"[server]\nport = 1.5\n", "", "", "server.port = '1.5': needs a whole number"},
      {"[server]\nprot = 1\n", "", "", ":2: no setting 'server.prot'; did you mean 'server.port'?"},
      {"port = 1\n", "", "", ":1: no setting 'port'"},
      {"[server]\nallow_host = 5\n", "", "", "server.allow_host = '5': needs a list of texts"},
      {"[server]\nhost = 5\n", "", "", "server.host = '5': needs text"},
      {"[server]\nhost = 2001-01-01\n", "", "", "server.host = 'null': needs text"},
      {"[server\n", "", "", "line 1"},
      {"", "HEARTH_SERVER_PORT", "-1",
       "HEARTH_SERVER_PORT: server.port = '-1': needs a whole number from 0 to 65535"},
      {"", "HEARTH_SERVER_PORT", "", "server.port = '': needs a whole number"},
      {"", "HEARTH_SERVER_PORT", "80x", "server.port = '80x': needs a whole number"},
      {"", "HEARTH_SERVER_PROT", "1", "did you mean HEARTH_SERVER_PORT?"},
      {"", "HEARTH_RUNTIME_DETERMINISTIC", "maybe", "needs true or false"},
      {"", "HEARTH_RUNTIME_THREADS", "1\x1b[2J", "'1\\x1b[2J'"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.says);
    const TempFile file(row.file);
    ConfigSources sources;
    sources.file = file.path;
    if (!row.variable.empty()) sources.environment = {{row.variable, row.value}};
    const auto loaded = load_config(sources);
    REQUIRE(!loaded);
    CAPTURE(loaded.error().message());
    CHECK(loaded.error().kind() == ErrorKind::invalid);
    CHECK(has(loaded.error().message(), row.says));
  }
}

TEST_CASE("whole numbers: at, below and above their limits") {
  for (const Setting& setting : settings()) {
    if (setting.max <= setting.min) continue;
    CAPTURE(std::string(setting.key));
    Config config;
    CHECK(setting.set(setting, config, setting.min).ok());
    CHECK(setting.set(setting, config, setting.max).ok());
    CHECK(!setting.set(setting, config, setting.min - 1).ok());
    CHECK(!setting.set(setting, config, setting.max + 1).ok());
    CHECK(setting.show(config) == Json(setting.max));
  }
}

TEST_CASE("the reference page lists every setting") {
  const std::string page = settings_reference();
  for (const Setting& setting : settings()) {
    CHECK(has(page, setting.key));
    CHECK(has(page, setting.variable()));
    CHECK(has(page, setting.flag));
  }
}
