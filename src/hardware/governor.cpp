#include "hardware/governor.h"

#include <fmt/core.h>

#include <algorithm>

namespace hearth::hardware {
namespace {

constexpr double warning_celsius = 7;  // below what is too hot
constexpr double calm_celsius = 5;     // below the warning: it has cooled down
constexpr int calm_percent = 5;        // above what is to be saved: it is charged again
constexpr double severe_factor = 3;    // of the pressure that asks for something
constexpr double busy_percent = 40, very_busy_percent = 70, calm_busy_percent = 20;

// What the machine's condition asks for now, and the most that it would keep up.
struct Reading {
  int asks = 0, keeps = 0;
};

Reading reading(double value, double some, double much, double calm) {
  const int asks = value >= much ? 2 : value >= some ? 1 : 0;
  // Much strain ends as far below its threshold as some strain does below its own.
  const int keeps = value >= much - (some - calm) ? 2 : value >= calm ? 1 : 0;
  return {asks, std::max(asks, keeps)};
}

Reading read_heat(const Strain& before, const Condition& now, const GovernorSettings& settings) {
  const double warning = settings.hot_celsius - warning_celsius;
  Reading heat;
  if (now.hottest_celsius)
    heat = reading(*now.hottest_celsius, warning, settings.hot_celsius, warning - calm_celsius);
  // The processor slows itself down: that costs more than fewer threads do.
  if (before.has_counter && now.throttled > before.throttled)
    heat = {std::max(heat.asks, 1), std::max(heat.keeps, 1)};
  return heat;
}

Reading read_battery(const Condition& now, const GovernorSettings& settings) {
  Reading battery;
  const bool drains = !now.on_mains.value_or(true);
  if (drains && now.battery_percent && settings.battery_percent > 0)
    battery = reading(-*now.battery_percent, -settings.battery_percent,
                      -settings.battery_percent / 2.0, -settings.battery_percent - calm_percent);
  if (now.saves_power) battery = {std::max(battery.asks, 1), std::max(battery.keeps, 1)};
  return battery;
}

Strain::One step(Strain::One one, const Reading& reading, int patience) {
  if (reading.asks > one.level) return {reading.asks, 0};
  if (reading.keeps >= one.level) return {one.level, 0};
  if (++one.calm_seconds < patience) return one;
  return {one.level - 1, 0};
}

}  // namespace

std::string_view name_of(Cause cause) {
  constexpr std::string_view names[causes] = {"heat", "battery", "memory", "processor"};
  return names[static_cast<std::size_t>(cause)];
}

Strain next(const Strain& before, const Condition& now, const GovernorSettings& settings) {
  Strain after;
  after.throttled = now.throttled;
  after.has_counter = true;
  if (!settings.is_on) return after;
  const std::array<Reading, causes> readings = {
      read_heat(before, now, settings), read_battery(now, settings),
      reading(now.memory_pressure, settings.memory_pressure,
              severe_factor * settings.memory_pressure, settings.memory_pressure / 2),
      reading(now.processor_pressure, busy_percent, very_busy_percent, calm_busy_percent)};
  for (std::size_t i = 0; i < causes; ++i) {
    const bool is_processor = static_cast<Cause>(i) == Cause::processor;
    after.of[i] =
        step(before.of[i], readings[i], is_processor ? calm_processor_seconds : calm_seconds);
  }
  return after;
}

GovernorLimits limits_of(const Strain& strain) {
  using Idle = GovernorLimits::Idle;
  // By level.  Memory is not helped by fewer threads, nor a busy processor by smaller batches.
  constexpr double threads[causes][max_strain + 1] = {
      {1, 0.75, 0.5}, {1, 0.5, 0.25}, {1, 1, 1}, {1, 0.75, 0.5}};
  constexpr double batch[causes][max_strain + 1] = {
      {1, 1, 0.5}, {1, 0.5, 0.5}, {1, 0.5, 0.25}, {1, 1, 1}};
  constexpr Idle idle[max_strain + 1] = {Idle::stay, Idle::leave_soon, Idle::leave};
  GovernorLimits limits;
  for (std::size_t i = 0; i < causes; ++i) {
    const int level = strain.of[i].level;
    limits.threads = std::min(limits.threads, threads[i][level]);
    limits.batch = std::min(limits.batch, batch[i][level]);
  }
  limits.idle = idle[strain.level(Cause::memory)];
  return limits;
}

std::vector<std::string> reasons_of(const Strain& strain, const Condition& now) {
  std::vector<std::string> reasons;
  if (strain.level(Cause::heat) > 0)
    reasons.push_back(now.hottest_celsius
                          ? fmt::format("the processor is at {:.0f} °C", *now.hottest_celsius)
                          : std::string("the processor slowed itself down because of heat"));
  if (strain.level(Cause::battery) > 0)
    reasons.push_back(now.saves_power ? std::string("the machine is told to save power")
                      : now.battery_percent
                          ? fmt::format("the battery is at {} %", *now.battery_percent)
                          : std::string("the battery was low"));
  if (strain.level(Cause::memory) > 0)
    reasons.push_back(
        fmt::format("tasks wait for memory {:.0f} % of the time", now.memory_pressure));
  if (strain.level(Cause::processor) > 0)
    reasons.push_back(
        fmt::format("tasks wait for a processor {:.0f} % of the time", now.processor_pressure));
  return reasons;
}

}  // namespace hearth::hardware
