#include "hardware/governor.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <random>

#include "hardware/fake_machine.h"

using namespace hearth;
using namespace hearth::hardware;

namespace {

void put_condition(const FakeMachine& machine, double celsius, int battery, bool on_mains,
                   double memory, double processor) {
  machine.put("sys/class/thermal/thermal_zone0/temp", fmt::format("{:.0f}\n", celsius * 1000));
  machine.put("sys/class/power_supply/BAT0/type", "Battery\n");
  machine.put("sys/class/power_supply/BAT0/capacity", fmt::format("{}\n", battery));
  machine.put("sys/class/power_supply/BAT0/status", on_mains ? "Charging\n" : "Discharging\n");
  for (const auto& [name, percent] : {std::pair("memory", memory), std::pair("cpu", processor)})
    machine.put(fmt::format("proc/pressure/{}", name),
                fmt::format("some avg10={:.2f} avg60=0.00 avg300=0.00 total=1\n", percent));
}

Strain after(Strain strain, const Condition& now, int seconds,
             const GovernorSettings& settings = {}) {
  for (int i = 0; i < seconds; ++i) strain = next(strain, now, settings);
  return strain;
}

int severity(GovernorLimits::Idle idle) { return static_cast<int>(idle); }

}  // namespace

TEST_CASE("what each kind of strain asks for") {
  const struct {
    std::string what;
    double celsius;
    int battery;
    bool on_mains;
    double memory, processor;
    double threads, batch;
    GovernorLimits::Idle idle;
    std::string reason;
  } rows[] = {
      {"at ease", 60, 80, true, 0, 0, 1, 1, GovernorLimits::Idle::stay, ""},
      {"busy with its own work", 80, 21, false, 9, 39, 1, 1, GovernorLimits::Idle::stay, ""},
      {"warm", 88, 80, true, 0, 0, 0.75, 1, GovernorLimits::Idle::stay, "at 88 °C"},
      {"too hot", 96, 80, true, 0, 0, 0.5, 0.5, GovernorLimits::Idle::stay, "at 96 °C"},
      {"low battery", 60, 20, false, 0, 0, 0.5, 0.5, GovernorLimits::Idle::stay, "at 20 %"},
      {"low, but charging", 60, 20, true, 0, 0, 1, 1, GovernorLimits::Idle::stay, ""},
      {"hardly any battery", 60, 9, false, 0, 0, 0.25, 0.5, GovernorLimits::Idle::stay, "at 9 %"},
      {"short of memory", 60, 80, true, 10, 0, 1, 0.5, GovernorLimits::Idle::leave_soon,
       "wait for memory 10 %"},
      {"very short of it", 60, 80, true, 35, 0, 1, 0.25, GovernorLimits::Idle::leave,
       "wait for memory 35 %"},
      {"others compute", 60, 80, true, 0, 45, 0.75, 1, GovernorLimits::Idle::stay,
       "wait for a processor 45 %"},
      {"many others do", 60, 80, true, 0, 90, 0.5, 1, GovernorLimits::Idle::stay,
       "wait for a processor 90 %"},
      {"all at once", 99, 5, false, 90, 90, 0.25, 0.25, GovernorLimits::Idle::leave, ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const FakeMachine machine;
    put_condition(machine, row.celsius, row.battery, row.on_mains, row.memory, row.processor);
    const Condition now = read_condition(machine.root());
    const Strain strain = next({}, now, {});
    const GovernorLimits limits = limits_of(strain);
    CHECK(limits.threads == row.threads);
    CHECK(limits.batch == row.batch);
    CHECK(limits.idle == row.idle);
    const auto reasons = reasons_of(strain, now);
    CHECK(reasons.empty() == (limits == GovernorLimits{}));
    if (!row.reason.empty()) {
      REQUIRE(reasons.size() == 1);
      CHECK(reasons[0].contains(row.reason));
    }
    CHECK(limits_of(next({}, now, {.is_on = false})) == GovernorLimits{});
  }
}

TEST_CASE("a core that slows itself down is strain, and so is a machine told to save power") {
  const FakeMachine machine;
  const auto count = [&](int times) {
    machine.put("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count",
                fmt::format("{}\n", times));
    return read_condition(machine.root());
  };
  Strain strain = next({}, count(1000), {});  // since it started: no news
  CHECK(limits_of(strain) == GovernorLimits{});
  strain = next(strain, count(1001), {});
  CHECK(limits_of(strain).threads == 0.75);
  CHECK(limits_of(after(strain, count(1001), calm_seconds)) == GovernorLimits{});
  machine.put("sys/firmware/acpi/platform_profile", "low-power\n");
  CHECK(limits_of(next({}, count(1001), {})).threads == 0.5);
}

TEST_CASE("relief comes after calm, one level at a time") {
  Condition hot, warm, cool;
  hot.hottest_celsius = 96;
  warm.hottest_celsius = 87;  // below the warning, not yet calm
  cool.hottest_celsius = 50;
  Strain strain = next({}, hot, {});
  CHECK(strain.level(Cause::heat) == 2);
  CHECK(after(strain, cool, calm_seconds - 1).level(Cause::heat) == 2);
  CHECK(after(strain, cool, calm_seconds).level(Cause::heat) == 1);
  CHECK(after(strain, cool, 2 * calm_seconds).level(Cause::heat) == 0);
  CHECK(after(strain, warm, 1000).level(Cause::heat) == 1);
  // One hot second and it begins anew.
  strain = next(after(strain, cool, calm_seconds - 1), hot, {});
  CHECK(after(strain, cool, calm_seconds - 1).level(Cause::heat) == 2);
}

TEST_CASE("whatever happens: within bounds, never more for a worse machine, and it passes") {
  std::mt19937 random(11);
  const auto draw = [&](double most) {
    return std::uniform_real_distribution<double>(0, most)(random);
  };
  const FakeMachine machine;
  for (int story = 0; story < 12; ++story) {
    CAPTURE(story);
    Strain better, worse;
    int changes = 0;
    GovernorLimits last;
    for (int second = 0; second < 60; ++second) {
      put_condition(machine, draw(110), static_cast<int>(draw(100)), draw(1) < 0.5, draw(60),
                    draw(100));
      const Condition now = read_condition(machine.root());
      Condition bad = now;
      bad.hottest_celsius = *now.hottest_celsius + draw(30);
      bad.memory_pressure += draw(40);
      bad.processor_pressure += draw(40);
      if (bad.battery_percent)
        bad.battery_percent = *bad.battery_percent - static_cast<int>(draw(*bad.battery_percent));
      if (draw(1) < 0.5) bad.on_mains = false;
      better = next(better, now, {});
      worse = next(worse, bad, {});
      const GovernorLimits a = limits_of(better), b = limits_of(worse);
      for (const GovernorLimits& limits : {a, b}) {
        CHECK(limits.threads >= 0.25);
        CHECK(limits.threads <= 1);
        CHECK(limits.batch >= 0.25);
        CHECK(limits.batch <= 1);
      }
      CHECK(b.threads <= a.threads);
      CHECK(b.batch <= a.batch);
      CHECK(severity(b.idle) >= severity(a.idle));
      changes += a != last;
      last = a;
    }
    // Levels fall by one in so many seconds, so that they cannot rise more often than that.
    CHECK(changes <= 2 * static_cast<int>(causes) * (2 + 60 / calm_seconds));
    Condition calm;
    calm.hottest_celsius = 40;
    CHECK(limits_of(after(worse, calm, 2 * calm_processor_seconds)) == GovernorLimits{});
  }
}
