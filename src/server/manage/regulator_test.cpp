#include "server/manage/regulator.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <mutex>

#include "hardware/cpu.h"
#include "hardware/fake_machine.h"
#include "server/manage/tuning.h"

using namespace hearth;
using namespace hearth::server;

namespace {

// A machine of files, and what was asked of it.
class World {
 public:
  World() {
    hooks.tune = [this](const LibraryTuning& tuning) {
      const std::lock_guard lock(mutex);
      tunings.push_back(tuning);
    };
    hooks.tell = [this](const Json& event) {
      const std::lock_guard lock(mutex);
      events.push_back(event);
    };
    hooks.look = [this] { return hardware::read_condition(machine.root()); };
    config.runtime.threads = 8;
    config.runtime.step_tokens = 256;
    config.runtime.parallel = 64;
    heat(50);
  }
  void heat(int celsius) {
    machine.put("sys/class/thermal/thermal_zone0/temp", fmt::format("{}000\n", celsius));
  }
  void press(int percent) {
    machine.put("proc/pressure/memory", fmt::format("some avg10={}.00 avg60=0\n", percent));
  }

  void power(int battery) {
    machine.put("sys/class/power_supply/BAT0/type", "Battery\n");
    machine.put("sys/class/power_supply/BAT0/status", "Discharging\n");
    machine.put("sys/class/power_supply/BAT0/capacity", fmt::format("{}\n", battery));
  }

  hardware::FakeMachine machine;
  Config config;
  Regulator::Hooks hooks;
  std::mutex mutex;
  std::vector<LibraryTuning> tunings;
  std::vector<Json> events;
};

}  // namespace

TEST_CASE("a hot machine is asked for less, tells so, and is asked for all again when it is cool") {
  World world;
  Regulator regulator(world.hooks, world.config);
  CHECK(regulator.view().now.threads == 8);
  world.heat(97);
  regulator.look_now();
  const Regulator::View hot = regulator.view();
  CHECK(hot.now.threads == 4);
  CHECK(hot.wanted.threads == 8);
  CHECK(hot.now.runner.step_tokens == 128);
  CHECK(hot.now.runner.max_running == 32);
  REQUIRE(hot.reasons.size() == 1);
  CHECK(hot.reasons[0] == "the processor is at 97 °C");
  {
    const std::lock_guard lock(world.mutex);
    REQUIRE(!world.events.empty());
    CHECK(*world.events.back().find("event") == Json("governor"));
    CHECK(*world.events.back().find("strain")->find("heat") == Json(2));
    CHECK(world.tunings.back().threads == 4);
  }
  // Settings that change meanwhile are held to the same limits.
  world.config.runtime.threads = 6;
  regulator.adopt(world.config);
  CHECK(regulator.view().now.threads == 3);
  world.heat(50);
  for (int second = 0; second < 2 * hardware::calm_seconds; ++second) regulator.look_now();
  CHECK(regulator.view().now.threads == 6);
  CHECK(regulator.view().reasons.empty());
  const std::lock_guard lock(world.mutex);
  CHECK(world.tunings.back().threads == 6);
  CHECK(world.tunings.back().runner.step_tokens == 256);
}

TEST_CASE("a setting switches the governor off, at once") {
  World world;
  Regulator regulator(world.hooks, world.config);
  world.heat(110);
  regulator.look_now();
  CHECK(regulator.view().now.threads == 4);
  world.config.governor.enabled = false;
  regulator.adopt(world.config);
  CHECK(regulator.view().now.threads == 8);
  regulator.look_now();
  CHECK(regulator.view().now.threads == 8);
  CHECK(*to_json(regulator.view()).find("on") == Json(false));
}

TEST_CASE("where memory is short, models that nobody uses leave") {
  World world;
  world.config.models.keep_alive = "1h";
  Regulator regulator(world.hooks, world.config);
  CHECK(regulator.view().now.pool.keep_alive == Milliseconds(3'600'000));
  world.press(15);
  regulator.look_now();
  CHECK(regulator.view().now.pool.keep_alive == Milliseconds(30'000));
  world.press(50);
  regulator.look_now();
  CHECK(regulator.view().now.pool.keep_alive == Milliseconds(0));
  CHECK(regulator.view().now.threads == 8);
}

TEST_CASE(
    "from a Raspberry Pi to a server: less under strain, never nothing, and all of it again") {
  constexpr std::uint64_t gibibyte = 1ull << 30;
  struct Strained {
    int warm, hot, worst;  // threads: at 90 degrees, at 97, at 97 with an empty battery
  };
  using Shape = hardware::MachineShape;
  const struct {
    std::string name;
    Shape shape;
    int threads;
    Strained less;
  } rows[] = {
      {"Raspberry Pi 4, 4 GB", Shape{.cores = 4, .memory_bytes = 4 * gibibyte}, 4, {3, 2, 1}},
      {"tablet with one core, 4 GB", Shape{.cores = 1, .memory_bytes = 4 * gibibyte}, 1, {1, 1, 1}},
      {"laptop, 16 GB, two kinds of cores",
       Shape{
           .cores = 4, .threads_per_core = 2, .efficiency_cores = 8, .memory_bytes = 16 * gibibyte},
       12,
       {9, 6, 3}},
      {"workstation, 128 GB",
       Shape{.cores = 16, .threads_per_core = 2, .memory_bytes = 128 * gibibyte},
       16,
       {12, 8, 4}},
      {"server, two sockets, 512 GB",
       Shape{.sockets = 2, .cores = 32, .threads_per_core = 2, .memory_bytes = 512 * gibibyte},
       64,
       {48, 32, 16}},
      {"container, 3 cores and 6 GB of it",
       Shape{.sockets = 2,
             .cores = 32,
             .memory_bytes = 512 * gibibyte,
             .limit_bytes = 6 * gibibyte,
             .quota_cores = 3},
       3,
       {3, 2, 1}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    World world;
    hardware::put_machine(world.machine, row.shape);
    world.config.runtime.threads = hardware::read_cpu(world.machine.root()).usable_cores;
    CHECK(world.config.runtime.threads == row.threads);
    Regulator regulator(world.hooks, world.config);
    const auto at = [&](int celsius, int battery, int pressure, int seconds) {
      world.heat(celsius);
      world.power(battery);
      world.press(pressure);
      for (int i = 0; i < seconds; ++i) regulator.look_now();
      return regulator.view().now;
    };
    CHECK(at(50, 80, 0, 1).threads == row.threads);
    CHECK(at(90, 80, 0, 1).threads == row.less.warm);
    CHECK(at(97, 80, 0, 1).threads == row.less.hot);
    const LibraryTuning worst = at(97, 5, 50, 1);
    CHECK(worst.threads == row.less.worst);
    CHECK(worst.runner.step_tokens == 64);
    CHECK(worst.pool.keep_alive == Milliseconds(0));
    const LibraryTuning after = at(50, 80, 0, 2 * hardware::calm_processor_seconds);
    CHECK(after.threads == row.threads);
    CHECK(after.runner.step_tokens == 256);
  }
}

TEST_CASE("limits leave something to work with") {
  LibraryTuning wanted;
  wanted.threads = 1;
  wanted.runner.step_tokens = 16;
  wanted.runner.max_running = 1;
  const hardware::GovernorLimits severe{
      .threads = 0.25, .batch = 0.25, .idle = hardware::GovernorLimits::Idle::leave};
  const LibraryTuning now = limited(wanted, severe, 4);
  CHECK(now.threads == 1);
  CHECK(now.runner.step_tokens == 16);
  CHECK(now.runner.max_running == 1);
  wanted.threads = 0;
  CHECK(limited(wanted, {}, 4).threads == 4);
  CHECK(limited(wanted, severe, 4).threads == 1);
}
