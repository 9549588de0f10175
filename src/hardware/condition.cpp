#include "hardware/condition.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/files.h"
#include "base/json.h"
#include "hardware/system_files.h"
#include "hardware/watts.h"

namespace hearth::hardware {
namespace {

constexpr std::string_view processor_sensors[] = {"k10temp", "zenpower", "coretemp"};

void add_heat(Condition& now, const std::string& text) {
  const auto thousandths = number_in(text);
  if (!thousandths || *thousandths > 200'000) return;  // a sensor that is not there
  const double celsius = static_cast<double>(*thousandths) / 1000;
  now.hottest_celsius = std::max(now.hottest_celsius.value_or(celsius), celsius);
}

void read_heat(Condition& now, const std::string& root) {
  for (const std::string& name : names_in(root, "sys/class/thermal")) {
    if (!name.starts_with("thermal_zone")) continue;
    const std::string zone = "sys/class/thermal/" + name;
    add_heat(now, read_text(root, zone + "/temp"));
  }
  // AMD's processors have no zone.  Source: Linux, Documentation/hwmon/sysfs-interface.rst.
  for (const std::string& name : names_in(root, "sys/class/hwmon")) {
    const std::string sensors = "sys/class/hwmon/" + name;
    const std::string driver = read_text(root, sensors + "/name");
    if (std::ranges::find(processor_sensors, driver) == std::end(processor_sensors)) continue;
    for (const std::string& file : names_in(root, sensors))
      if (file.starts_with("temp") && file.ends_with("_input"))
        add_heat(now, read_text(root, join_path(sensors, file)));
  }
  for (const std::string& name : names_in(root, "sys/devices/system/cpu"))
    if (name.starts_with("cpu"))
      now.throttled +=
          number_in(read_text(root, fmt::format("sys/devices/system/cpu/{}/thermal_throttle/"
                                                "core_throttle_count",
                                                name)))
              .value_or(0);
}

void read_power(Condition& now, const std::string& root) {
  for (const std::string& name : names_in(root, "sys/class/power_supply")) {
    const std::string supply = "sys/class/power_supply/" + name;
    const std::string type = read_text(root, supply + "/type");
    // A mouse has a battery too.
    if (read_text(root, supply + "/scope") == "Device") continue;
    if (type == "Mains" || type == "USB") {
      const bool is_online = read_text(root, supply + "/online") == "1";
      now.on_mains = now.on_mains.value_or(false) || is_online;
    } else if (type == "Battery") {
      if (const auto percent = number_in(read_text(root, supply + "/capacity")))
        now.battery_percent = static_cast<int>(std::min<std::uint64_t>(*percent, 100));
      if (!now.on_mains) now.on_mains = read_text(root, supply + "/status") != "Discharging";
    }
  }
  // Source: Linux, Documentation/ABI/testing/sysfs-platform_profile.
  now.saves_power = read_text(root, "sys/firmware/acpi/platform_profile") == "low-power";
  std::set<std::string> counted;  // one package may be told of in two ways
  for (const std::string& name : names_in(root, "sys/class/powercap")) {
    const std::string zone = "sys/class/powercap/" + name;
    const std::string package = read_text(root, zone + "/name");
    if (!package.starts_with("package") || !counted.insert(package).second) continue;
    if (const auto millionths = number_in(read_text(root, zone + "/energy_uj")))
      now.processor_joules =
          now.processor_joules.value_or(0) + static_cast<double>(*millionths) / 1e6;
  }
}

// "some avg10=1.23 avg60=..." -> 1.23.  Source: Linux, Documentation/accounting/psi.rst.
double pressure(const std::string& root, std::string_view what) {
  const std::string text = read_text(root, fmt::format("proc/pressure/{}", what));
  constexpr std::string_view key = "some avg10=";
  const std::size_t at = text.find(key);
  return at == text.npos ? 0 : std::strtod(text.c_str() + at + key.size(), nullptr);
}

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

}  // namespace

Condition read_condition(const std::string& root) {
  Condition now;
  read_heat(now, root);
  read_power(now, root);
  now.load = std::strtod(read_text(root, "proc/loadavg").c_str(), nullptr);
  now.memory_pressure = pressure(root, "memory");
  now.processor_pressure = pressure(root, "cpu");
  return now;
}

std::optional<double> processor_watts(const Condition& before, const Condition& now,
                                      double seconds) {
  if (!before.processor_joules || !now.processor_joules || seconds <= 0) return std::nullopt;
  const double joules = *now.processor_joules - *before.processor_joules;
  return joules < 0 ? std::nullopt : std::optional(joules / seconds);
}

std::string read_enclosure(const std::string& root) {
  const bool is_container = is_file(join_path(root, ".dockerenv")) ||
                            is_file(join_path(root, "run/.containerenv")) ||
                            !read_text(root, "run/systemd/container").empty();
  bool is_virtual = false;
  const std::string cpuinfo = read_text(root, "proc/cpuinfo");
  for (const std::string_view line : lines_of(cpuinfo))
    if (line.starts_with("flags")) is_virtual = is_virtual || line.find(" hypervisor") != line.npos;
  if (is_container) return is_virtual ? "container in a virtual machine" : "container";
  return is_virtual ? "virtual machine" : "";
}

Json to_json(const Condition& now) {
  return Json::object({{"hottest_celsius", or_null(now.hottest_celsius)},
                       {"throttled", now.throttled},
                       {"on_mains", or_null(now.on_mains)},
                       {"battery_percent", or_null(now.battery_percent)},
                       {"saves_power", now.saves_power},
                       {"processor_joules", or_null(now.processor_joules)},
                       {"load", now.load},
                       {"memory_pressure", now.memory_pressure},
                       {"processor_pressure", now.processor_pressure}});
}

}  // namespace hearth::hardware
