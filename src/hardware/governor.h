// Governor: what a machine under strain should not be asked for.  Plain functions; whoever applies
// the limits keeps the state and asks once a second.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hardware/condition.h"

namespace hearth::hardware {

struct GovernorSettings {
  bool is_on = true;
  double hot_celsius = 95;      // too hot; the warning comes somewhat earlier
  int battery_percent = 20;     // a battery that is to be saved; 0: none is
  double memory_pressure = 10;  // percent, as Condition's
};

enum class Cause { heat, battery, memory, processor };
constexpr std::size_t causes = 4;
std::string_view name_of(Cause cause);

// How much each cause asks for: 0 nothing, 1 some, 2 much.  It grows at once, and shrinks by one
// when the machine has been well below the threshold for a while: a machine at the threshold does
// not go back and forth.
struct Strain {
  struct One {
    int level = 0;
    int calm_seconds = 0;
    bool operator==(const One&) const = default;
  };
  std::array<One, causes> of{};
  std::uint64_t throttled = 0;  // the counter, a second ago
  bool has_counter = false;

  int level(Cause cause) const { return of[static_cast<std::size_t>(cause)].level; }
};
constexpr int max_strain = 2;
// Seconds of calm before a cause asks for less.
constexpr int calm_seconds = 10, calm_processor_seconds = 30;

// A second later.
Strain next(const Strain& before, const Condition& now, const GovernorSettings& settings);

// Shares of what the settings ask for, in (0, 1].
struct GovernorLimits {
  double threads = 1, batch = 1;
  enum class Idle { stay, leave_soon, leave } idle = Idle::stay;  // models that nobody uses
  bool operator==(const GovernorLimits&) const = default;
};
GovernorLimits limits_of(const Strain& strain);

// One sentence for each cause that asks for something: "the processor is at 97 °C".
std::vector<std::string> reasons_of(const Strain& strain, const Condition& now);

}  // namespace hearth::hardware
