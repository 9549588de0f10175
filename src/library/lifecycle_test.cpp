#include "library/lifecycle.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <set>

#include "base/files.h"

using namespace hearth;

namespace {

std::vector<ModelState> all_states() {
  std::vector<ModelState> list;
  for (int i = 0; i < model_states; ++i) list.push_back(static_cast<ModelState>(i));
  return list;
}
std::vector<ModelEvent> all_events() {
  std::vector<ModelEvent> list;
  for (int i = 0; i < model_events; ++i) list.push_back(static_cast<ModelEvent>(i));
  return list;
}

// States that events can lead to from `from`; `without`: an event that does not happen.
std::set<ModelState> reachable(ModelState from, std::optional<ModelEvent> without = {}) {
  std::set<ModelState> seen{from};
  std::vector<ModelState> open{from};
  while (!open.empty()) {
    const ModelState state = open.back();
    open.pop_back();
    for (const ModelEvent event : all_events())
      if (const auto next = next_state(state, event); next && event != without)
        if (seen.insert(*next).second) open.push_back(*next);
  }
  return seen;
}

struct Scratch {
  Scratch() {
    std::string name = std::filesystem::temp_directory_path() / "hearth-lifecycle-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder = name;
  }
  ~Scratch() { std::filesystem::remove_all(folder); }
  std::string folder;
};

}  // namespace

TEST_CASE("every state with every event: a known state, or nothing changes") {
  for (const ModelState state : all_states())
    for (const ModelEvent event : all_events()) {
      const std::string what = std::string(name_of(state)) + " + " + std::string(name_of(event));
      CAPTURE(what);
      const auto next = next_state(state, event);
      if (next) CHECK(static_cast<int>(*next) < model_states);
      // What is in use is not evicted, removed or loaded over.
      if (state == ModelState::executing)
        CHECK(next.has_value() == (event == ModelEvent::rest || event == ModelEvent::fail));
      // Work can be stopped, and can fail.
      if (event == ModelEvent::cancel && next) {
        CHECK(*next == ModelState::cancelled);
        CHECK(is_transient(state));
      }
      if (event == ModelEvent::fail && next) {
        CHECK(*next == ModelState::error);
        CHECK(is_transient(state));
      }
      if (next == ModelState::uninitialized) CHECK(state == ModelState::cleanup);
      if (next == ModelState::ready)
        CHECK((state == ModelState::loaded || state == ModelState::executing));
    }
}

TEST_CASE("from every state a model can become ready, and can go") {
  for (const ModelState state : all_states()) {
    CAPTURE(std::string(name_of(state)));
    CHECK(reachable(state).contains(ModelState::ready));
    CHECK(reachable(state).contains(ModelState::uninitialized));
    CHECK(find_state(name_of(state)) == state);
  }
  CHECK_FALSE(find_state("asleep"));
  CHECK(reachable(ModelState::uninitialized).size() == model_states);
  // A model that is here needs no download, one that is no archive no extraction.
  CHECK(reachable(ModelState::local, ModelEvent::download).contains(ModelState::ready));
  CHECK(reachable(ModelState::discovered, ModelEvent::extract).contains(ModelState::ready));
  // After a failure the same stage can be tried again.
  for (const ModelEvent retry :
       {ModelEvent::download, ModelEvent::extract, ModelEvent::validate, ModelEvent::initialize}) {
    CHECK(next_state(ModelState::error, retry).has_value());
    CHECK(next_state(ModelState::cancelled, retry).has_value());
  }
}

TEST_CASE("progress grows along the way, from nothing to all") {
  const ModelState way[] = {
      ModelState::discovered, ModelState::downloading,  ModelState::downloaded,
      ModelState::extracting, ModelState::extracted,    ModelState::validating,
      ModelState::validated,  ModelState::initializing, ModelState::initialized,
      ModelState::loading,    ModelState::loaded,       ModelState::ready};
  double last = 0;
  for (const ModelState state : way)
    for (const double share : {0.0, 0.5, 1.0}) {
      const double now = overall_progress(state, share);
      CHECK(now >= last - 1e-9);
      last = now;
    }
  CHECK(last == 1);
  CHECK(overall_progress(ModelState::error, 1) == 0);
  CHECK(overall_progress(ModelState::loading, 7) == doctest::Approx(0.9));
}

TEST_CASE("observers see each change; what cannot happen changes nothing") {
  Lifecycles ways;
  std::vector<std::string> seen;
  const int observer =
      ways.observe([&](const LifecycleView& view) { seen.emplace_back(name_of(view.state)); });
  CHECK(ways.apply("m", ModelEvent::find_here).ok());
  const Status refused = ways.apply("m", ModelEvent::work);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message() == "'m' is local: 'work' cannot happen to it now");
  CHECK(ways.view("m").state == ModelState::local);
  CHECK(ways.apply("m", ModelEvent::initialize).ok());
  CHECK(ways.apply("m", ModelEvent::fail, "no memory").ok());
  CHECK(ways.view("m").detail == "no memory");
  CHECK(seen == std::vector<std::string>{"local", "initializing", "error"});
  ways.forget(observer);
  CHECK(ways.apply("m", ModelEvent::remove).ok());
  CHECK(ways.apply("m", ModelEvent::finish_cleanup).ok());
  CHECK(seen.size() == 3);
  CHECK(ways.views().empty());
  CHECK(ways.view("m").state == ModelState::uninitialized);
}

TEST_CASE("what is kept outlives the process; what was under way does not") {
  const Scratch scratch;
  const std::string file = scratch.folder + "/lifecycle.json";
  const struct {
    const char* name;
    std::vector<ModelEvent> events;
    ModelState later;
  } rows[] = {
      {"here", {ModelEvent::find_here}, ModelState::local},
      {"half", {ModelEvent::discover, ModelEvent::download}, ModelState::cancelled},
      {"broken", {ModelEvent::discover, ModelEvent::download, ModelEvent::fail}, ModelState::error},
      {"used",
       {ModelEvent::find_here, ModelEvent::initialize, ModelEvent::finish_initialize,
        ModelEvent::load, ModelEvent::finish_load, ModelEvent::become_ready, ModelEvent::work},
       ModelState::evicted},
  };
  {
    Lifecycles ways(file);
    for (const auto& row : rows)
      for (const ModelEvent event : row.events) REQUIRE(ways.apply(row.name, event).ok());
    REQUIRE(ways.apply("last", ModelEvent::find_here).ok());  // writes what the others are now
  }
  const Lifecycles again(file);
  for (const auto& row : rows) {
    CAPTURE(std::string(row.name));
    CHECK(again.view(row.name).state == row.later);
  }
  REQUIRE(replace_file(file, std::as_bytes(std::span(std::string_view("{\"models\": 7")))).ok());
  CHECK(Lifecycles(file).views().empty());
}

TEST_CASE("time left: by the stage's own pace, or by what such stages took before") {
  Lifecycles ways;
  REQUIRE(ways.apply("m", ModelEvent::discover).ok());
  CHECK_FALSE(ways.view("m").seconds_left);
  REQUIRE(ways.apply("m", ModelEvent::download).ok());
  CHECK_FALSE(ways.view("m").seconds_left);
  ways.advance("m", 0.5, 2'000'000'000);
  const auto left = ways.view("m").seconds_left;
  REQUIRE(left);
  CHECK(*left >= 0);
  CHECK(ways.view("m").progress == doctest::Approx(0.175));
  REQUIRE(ways.apply("m", ModelEvent::finish_download).ok());
  // Another one of the same size: the first one's pace is known.
  REQUIRE(ways.apply("n", ModelEvent::discover).ok());
  REQUIRE(ways.apply("n", ModelEvent::download).ok());
  ways.advance("n", 0, 2'000'000'000);
  CHECK(ways.view("n").seconds_left);
}
