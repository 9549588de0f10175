// How the machine feels now: heat, power, pressure, and who else wants it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace hearth {
class Json;
}

namespace hearth::hardware {

struct Condition {
  std::optional<double> hottest_celsius;  // of all sensors of the processor
  std::uint64_t throttled = 0;            // times a core was slowed by heat since start
  std::optional<bool> on_mains;           // none: no battery, no supply that tells
  std::optional<int> battery_percent;
  bool saves_power = false;                // the person chose the profile that does
  std::optional<double> processor_joules;  // a counter that grows; differences are energy
  double load = 0;                         // runnable threads, mean of the last minute
  double memory_pressure = 0;              // percent of the last ten seconds that tasks waited
  double processor_pressure = 0;
};

// `root`: as in cpu.h.  What cannot be read keeps its default.
Condition read_condition(const std::string& root = "/");

// As `hearth info --json` and the server tell it: {"hottest_celsius": ..., ...}
Json to_json(const Condition& now);

// What the machine is inside of: "container", "virtual machine", both, or "".
std::string read_enclosure(const std::string& root = "/");

}  // namespace hearth::hardware
