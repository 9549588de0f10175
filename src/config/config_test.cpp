#include "config/config.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/bytes.h"
#include "base/files.h"
#include "config/file_edit.h"
#include "config/file_values.h"

using namespace hearth;

namespace {

// A settings file that lives as long as the test.
struct TempFile {
  explicit TempFile(std::string_view text, std::string_view ending = ".toml") {
    std::string name = "/tmp/hearth-config-XXXXXX" + std::string(ending);
    const int descriptor = mkstemps(name.data(), static_cast<int>(ending.size()));
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
  sources.files = {{Layer::user_file, file.path}};
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
  CHECK(loaded->given.at("server.port").back().place == "--port");
  CHECK(loaded->given.at("server.host").back().place == file.path + ":3");
  CHECK(loaded->given.at("runtime.threads").back().place == "HEARTH_RUNTIME_THREADS");
  CHECK(loaded->given.at("server.queue").back().place == "default");
  std::string layers;
  for (const GivenValue& given : loaded->given.at("server.port"))
    layers += std::string(name_of(given.layer)) + "=" + write_json(given.value) + " ";
  CHECK(layers == "default=11500 user=8001 environment=8002 flag=8003 ");
}

TEST_CASE("an absent file is no error") {
  ConfigSources sources;
  sources.files = {{Layer::user_file, "/nonexistent/config.toml"}};
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
    sources.files = {{Layer::user_file, file.path}};
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

TEST_CASE("the three forms of files hold the same values") {
  const struct {
    std::string ending, text;
  } rows[] = {
      {".toml",
       "[server]\nport = 8001\nallow_host = [\"a\", \"8\"]\n[runtime]\ndeterministic = true\n"},
      {".yaml",
       "# notes\nserver:\n  port: 8001\n  allow_host: [a, \"8\"]\nruntime:\n  deterministic: "
       "true\n"},
      {".json",
       R"({"server": {"port": 8001, "allow_host": ["a", "8"]}, "runtime": {"deterministic": true}})"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.ending);
    const TempFile file(row.text, row.ending);
    const auto loaded = load_config({.files = {{Layer::user_file, file.path}}});
    REQUIRE(loaded);
    CHECK(loaded->config.server.port == 8001);
    CHECK(loaded->config.server.allow_host == std::vector<std::string>{"a", "8"});
    CHECK(loaded->config.runtime.deterministic);
  }
}

TEST_CASE("files that are not as they should be") {
  const struct {
    std::string ending, text, says;
  } rows[] = {
      {".yaml", "server:\n  prot: 1\n", ":2: no setting 'server.prot'"},
      {".yaml", "server:\n  port: 1\n  port: 2\n", ":3: server.port was set in line 2 already"},
      {".json", R"({"server": {"port": 1, "port": 2}})", "was set in line 1 already"},
      {".json", R"({"server": {"port": )", "line 2"},
      {".yaml", "- 1\n", "line 1: needs names and values"},
      {".yaml", "server: *other\n", "line 1"},
      {".yaml", "server:\n  allow_host: [[a]]\n", "line 2: a list holds words"},
      {".yaml", "? [a]\n: 1\n", "line 1: a name must be a word"},
      {".yaml",
       "a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: "
       "1}}}}}}}}}}}}}}}}}}\n",
       "nested too deeply"},
      {".yaml", "a: \xFF\n", "is not UTF-8"},
      {".toml", "[server]\ntls_cert = \"a.pem\"\n", "TLS needs both"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const TempFile file(row.text, row.ending);
    const auto loaded = load_config({.files = {{Layer::user_file, file.path}}});
    REQUIRE(!loaded);
    CAPTURE(loaded.error().message());
    CHECK(has(loaded.error().message(), row.says));
  }
  for (const std::string empty : {"", "# nothing\n", "---\n"}) {
    const TempFile file(empty, ".yaml");
    CHECK(load_config({.files = {{Layer::user_file, file.path}}}));
  }
}

TEST_CASE("every prefix of a YAML file is read or refused") {
  const std::string text = "server:\n  port: 8001\n  allow_host: [a, \"b\"]\n  host: 'x'\n";
  for (std::size_t size = 0; size <= text.size(); ++size) {
    const auto values = parse_yaml(text.substr(0, size));
    CHECK((values || values.error().kind() == ErrorKind::invalid));
  }
}

TEST_CASE("a project's file may not open ports") {
  const TempFile file("[runtime]\nthreads = 2\n");
  CHECK(load_config({.files = {{Layer::project_file, file.path}}}));
  const TempFile hostile("[server]\nhost = \"0.0.0.0\"\n");
  const auto loaded = load_config({.files = {{Layer::project_file, hostile.path}}});
  REQUIRE(!loaded);
  CHECK(has(loaded.error().message(), "server.host may not be set by a project"));
}

TEST_CASE("changes leave comments and order as they are") {
  const std::string text =
      "# mine\n[server]  # how it listens\nport = 1 # one\nallow_host = [\n  "
      "\"a\",\n]\n\n[runtime]\nthreads = "
      "2\n";
  const struct {
    std::string before, key, value, after;
  } rows[] = {
      {text, "server.port", "2",
       "# mine\n[server]  # how it listens\nport = 2 # one\nallow_host = [\n  "
       "\"a\",\n]\n\n[runtime]\nthreads = "
       "2\n"},
      {text, "server.allow_host", R"(["b"])",
       "# mine\n[server]  # how it listens\nport = 1 # one\nallow_host = "
       "[\"b\"]\n\n[runtime]\nthreads = 2\n"},
      {text, "server.host", R"("h")",
       "# mine\n[server]  # how it listens\nhost = \"h\"\nport = 1 # one\nallow_host = [\n  "
       "\"a\",\n]\n\n[runtime]\nthreads = 2\n"},
      {"", "server.port", "1", "[server]\nport = 1\n"},
      {"[runtime]\nthreads = 1", "server.port", "1",
       "[runtime]\nthreads = 1\n\n[server]\nport = 1\n"},
      {"server.queue = 1\n[runtime]\n", "server.port", "1",
       "server.port = 1\nserver.queue = 1\n[runtime]\n"},
      {"server = {queue = 1}\n", "server.port", "1", ""},
      {"[server\n", "server.port", "1", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.before);
    CAPTURE(row.key);
    const auto value = parse_json(row.value);
    REQUIRE(value);
    const auto after = with_setting(row.before, row.key, *value);
    CHECK((after ? *after : "") == row.after);
  }
  const auto without = without_setting(text, "server.allow_host");
  REQUIRE(without);
  CHECK(*without ==
        "# mine\n[server]  # how it listens\nport = 1 # one\n\n[runtime]\nthreads = 2\n");
  // A section that it leaves empty goes with it, unless a person wrote something there.
  const struct {
    std::string_view before, after;
  } emptied[] = {
      {"[server]\nport = 1\n", ""},
      {"[server]\n\nport = 1\n\n[runtime]\nthreads = 2\n", "[runtime]\nthreads = 2\n"},
      {"[runtime]\nthreads = 2\n\n[server]\nport = 1\n", "[runtime]\nthreads = 2\n"},
      {"[server]  # mine\nport = 1\n", "[server]  # mine\n"},
      {"[server]\n# none\nport = 1\n", "[server]\n# none\n"},
      {"[server]\nport = 1\n# none\n", "[server]\n# none\n"},
      {"server.port = 1\n[runtime]\nthreads = 2\n", "[runtime]\nthreads = 2\n"},
  };
  for (const auto& row : emptied) {
    CAPTURE(row.before);
    const auto left = without_setting(row.before, "server.port");
    CHECK((left ? *left : left.error().message()) == row.after);
  }
  CHECK(without_setting(text, "server.host").error().kind() == ErrorKind::not_found);
}
