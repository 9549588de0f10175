#include "config/live.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>

#include "config/temp_folder.h"

using namespace hearth;

namespace {

// What an observer saw, as text: "server.queue=512>7 ".
class Seen {
 public:
  LiveConfig::Observer observer() {
    return [this](const ConfigNews& news) {
      const std::lock_guard lock(mutex_);
      for (const Setting* setting : news.changed)
        text_ += std::string(setting->key) + "=" + write_json(setting->show(news.before.config)) +
                 ">" + write_json(setting->show(news.after.config)) + " ";
      if (!news.problem.empty()) text_ += "problem: " + news.problem + " ";
    };
  }
  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

std::unique_ptr<LiveConfig> live_of(const std::string& path, const ConfigSources& others = {}) {
  auto live = LiveConfig::create([=] {
    ConfigSources sources = others;
    sources.files.push_back({Layer::user_file, path});
    return sources;
  });
  REQUIRE(live);
  return *std::move(live);
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

std::string text_of(const std::string& path) { return read_file(path, 1 << 20).value_or(""); }

}  // namespace

TEST_CASE("a change that is not kept counts for this process alone, and may be taken back") {
  const TempFolder folder;
  const std::string path = folder.put("config.toml", "[server]\nqueue = 7\n");
  const auto live = live_of(path);
  Seen seen;
  const int id = live->observe(seen.observer());
  auto outcomes = live->change({{"server.queue", 9},
                                {"runtime.context", 100},
                                {"server.port", 1},
                                {"models.keep_alive", "5m"}},
                               false);
  REQUIRE(outcomes);
  std::string kinds;
  for (const SettingOutcome& one : *outcomes) kinds += std::string(name_of(one.kind)) + ", ";
  CHECK(kinds == "applied, next model, needs restart, unchanged, ");
  CHECK(seen.text() == "server.port=11500>1 server.queue=7>9 runtime.context=0>100 ");
  CHECK(live->now()->config.server.queue == 9);
  CHECK(live->now()->given.find("server.queue")->second.back().place == "PATCH /api/config");
  CHECK(live->at_start()->config.server.port == 11500);
  CHECK(text_of(path) == "[server]\nqueue = 7\n");

  live->forget(id);
  outcomes = live->change({{"server.queue", Json()}}, false);
  REQUIRE(outcomes);
  CHECK((*outcomes)[0].kind == SettingOutcome::Kind::applied);
  CHECK((*outcomes)[0].now.place == path + ":2");
  CHECK(live->now()->config.server.queue == 7);
  CHECK(!seen.text().contains("9>7"));
}

TEST_CASE("a change that is kept goes to the user's file, whose comments stay") {
  const TempFolder folder;
  const std::string path = folder.put("config.toml", "# mine\n[server]\nqueue = 7 # seven\n");
  const auto live = live_of(path, {.environment = {{"HEARTH_MODELS_KEEP_ALIVE", "1h"}}});
  REQUIRE(live->change({{"server.queue", 8}}, false));
  const auto outcomes = live->change({{"server.queue", "9"}, {"models.keep_alive", "3m"}}, true);
  REQUIRE(outcomes);
  CHECK((*outcomes)[0].kind == SettingOutcome::Kind::applied);
  CHECK((*outcomes)[1].kind == SettingOutcome::Kind::unchanged);  // the environment says otherwise
  CHECK((*outcomes)[1].now.place == "HEARTH_MODELS_KEEP_ALIVE");
  CHECK(text_of(path) == "# mine\n[server]\nqueue = 9 # seven\n\n[models]\nkeep_alive = \"3m\"\n");
  REQUIRE(live->change({{"models.keep_alive", Json()}, {"models.max_loaded", Json()}}, true));
  CHECK(!text_of(path).contains("keep_alive"));
}

TEST_CASE("all that is wrong with a change is told, and nothing of it is done") {
  const TempFolder folder;
  const std::string path = folder.put("config.toml", "[server]\nqueue = 7\n");
  auto made = LiveConfig::create([=] { return ConfigSources{.files = {{Layer::user_file, path}}}; },
                                 [](const Config& config) -> Status {
                                   if (config.models.memory_mb > 100)
                                     return Error(ErrorKind::exhausted, "too much memory");
                                   return Done{};
                                 });
  REQUIRE(made);
  LiveConfig& live = **made;
  const struct {
    LiveConfig::Wishes wishes;
    std::string says;
  } rows[] = {
      {{{"server.queu", 1}, {"server.port", -1}, {"server.queue", 9}},
       "no setting 'server.queu'; did you mean 'server.queue'?; server.port = '-1': needs"},
      {{{"server.host", "0.0.0.0"}}, "server.host may not be set by a request"},
      {{{"library.token", "env:X"}}, "library.token may not be set by a request"},
      {{{"server.queue", 1}, {"server.queue", 2}}, "server.queue is asked for twice"},
      {{{"runtime.context", 10}, {"runtime.max_context", 5}}, "is more than runtime.max_context"},
      {{{"models.memory_mb", 200}}, "too much memory"},
  };
  for (const auto& row : rows)
    for (const bool is_kept : {false, true}) {
      CAPTURE(row.says);
      const auto outcomes = live.change(row.wishes, is_kept);
      REQUIRE(!outcomes);
      CAPTURE(outcomes.error().message());
      CHECK(outcomes.error().message().contains(row.says));
      CHECK(live.now()->config.server.queue == 7);
      CHECK(text_of(path) == "[server]\nqueue = 7\n");
    }
}

TEST_CASE("files that change are noticed however they change") {
  const TempFolder folder;
  const std::string path = join_path(folder.path(), "sub/config.toml");
  const auto live = live_of(path);  // neither the file nor its folder is there
  Seen seen;
  live->observe(seen.observer());
  live->watch(Milliseconds(20));
  const auto queue_is = [&](std::int64_t queue) {
    return eventually([&] { return live->now()->config.server.queue == queue; });
  };
  folder.put("sub/config.toml", "[server]\nqueue = 1\n");  // the folder appears with it
  CHECK(queue_is(1));
  folder.put("sub/config.toml", "[server]\nqueue = 2\n");  // renamed over
  CHECK(queue_is(2));
  std::ofstream(path) << "[server]\nqueue = 3\n";  // written in place
  CHECK(queue_is(3));
  const std::string other = folder.put("other.toml", "[server]\nqueue = 4\n");
  ::unlink(path.c_str());
  REQUIRE(::symlink(other.c_str(), path.c_str()) == 0);
  CHECK(queue_is(4));
  folder.put("other.toml", "[server]\nqueue = 5\n");  // behind the link
  CHECK(queue_is(5));
  ::unlink(path.c_str());
  CHECK(queue_is(512));
  CHECK(live->problem().empty());
}

TEST_CASE("a file that is wrong leaves the settings before, and says where it is wrong") {
  const TempFolder folder;
  const std::string path = folder.put("config.toml", "[server]\nqueue = 7\n");
  const auto live = live_of(path);
  Seen seen;
  live->observe(seen.observer());
  live->watch(Milliseconds(20));
  folder.put("config.toml", "[server]\nqueue = 8\nprot = 1\n");
  REQUIRE(eventually([&] { return !live->problem().empty(); }));
  CHECK(live->problem() == path + ":3: no setting 'server.prot'; did you mean 'server.port'?");
  CHECK(live->now()->config.server.queue == 7);
  CHECK(!live->change({{"models.max_loaded", 1}}, true));  // not into a file that is wrong
  folder.put("config.toml", "[server]\nqueue = 8\n");
  REQUIRE(eventually([&] { return live->problem().empty(); }));
  CHECK(live->now()->config.server.queue == 8);
  CHECK(seen.text().contains("problem: " + path + ":3:"));
  CHECK(seen.text().contains("server.queue=7>8"));
}

TEST_CASE("many threads change and read at once: everybody sees whole settings") {
  const TempFolder folder;
  const auto live = live_of(join_path(folder.path(), "config.toml"));
  std::atomic<int> told = 0;
  live->observe([&](const ConfigNews&) { ++told; });
  live->watch(Milliseconds(1));
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 3; ++thread)
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 40; ++i) {
        const int value = 1 + (7 * i + thread) % 50;
        const bool is_kept = i % 10 == 9;
        if (!live->change({{"server.queue", value}, {"models.max_loaded", value}}, is_kept))
          std::abort();
        const auto now = live->now();
        if (now->config.server.queue != now->config.models.max_loaded) std::abort();
      }
    });
  threads.clear();
  CHECK(told > 0);
}

TEST_CASE("what suits the machine counts where nobody says otherwise") {
  const TempFolder folder;
  const std::string path = folder.put("config.toml", "[runtime]\nworkload = \"latency\"\n");
  ConfigSources sources;
  sources.automatic = [](const Config& config) -> std::vector<AutomaticValue> {
    return {{"runtime.threads", 6, "six cores"},
            {"runtime.step_tokens", config.runtime.workload == "latency" ? 128 : 256, "its wish"},
            {"server.queue", 33, "why not"}};
  };
  sources.flags = {{"runtime.threads", "2"}};
  const auto live = live_of(path, sources);
  CHECK(live->now()->config.runtime.threads == 2);
  CHECK(live->now()->config.runtime.step_tokens == 128);
  CHECK(live->now()->config.server.queue == 33);
  const auto& given = live->now()->given.find("runtime.threads")->second;
  REQUIRE(given.size() == 3);
  CHECK(given[1].layer == Layer::automatic);
  CHECK(given[1].value == Json(6));
  CHECK(given[1].reason == "six cores");
  CHECK(given[2].place == "--threads");
  // Another workload, other values.
  REQUIRE(live->change({{"runtime.workload", "balanced"}}, false));
  CHECK(live->now()->config.runtime.step_tokens == 256);
}
