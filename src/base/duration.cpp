#include "base/duration.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>

#include "base/utf8.h"

namespace hearth {
namespace {

struct Unit {
  std::string_view name;
  double seconds;
};
// The longer name first where one begins the other.
constexpr Unit units[] = {{"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};

Error not_understood(std::string_view text) {
  return Error(ErrorKind::invalid,
               fmt::format("'{}': needs a span of time such as 90, 5m or 1h30m", printable(text)));
}

}  // namespace

Milliseconds duration_of_seconds(double seconds) {
  constexpr double most = 1e9;  // thirty years: sums in nanoseconds stay in range
  if (!(seconds >= 0) || seconds > most) return forever;
  return Milliseconds(std::llround(seconds * 1e3));
}

Result<Milliseconds> parse_duration(std::string_view text) {
  std::string_view rest = text;
  const bool is_negative = rest.starts_with('-');
  if (is_negative) rest.remove_prefix(1);
  if (rest.empty()) return not_understood(text);
  double seconds = 0;
  while (!rest.empty()) {
    double number = 0;
    const auto parsed =
        std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    if (parsed.ec != std::errc() || number < 0 || !std::isfinite(number))
      return not_understood(text);
    rest.remove_prefix(static_cast<std::size_t>(parsed.ptr - rest.data()));
    const Unit* found = nullptr;
    for (const Unit& unit : units)
      if (!found && rest.starts_with(unit.name)) found = &unit;
    if (!found && (!rest.empty() || seconds > 0)) return not_understood(text);
    seconds += number * (found ? found->seconds : 1);
    if (found) rest.remove_prefix(found->name.size());
  }
  return is_negative ? forever : duration_of_seconds(seconds);
}

std::string duration_text(Milliseconds duration) {
  if (duration == forever) return "forever";
  const std::int64_t seconds = duration.count() / 1000;
  if (duration.count() < 1000) return fmt::format("{}ms", duration.count());
  std::string text;
  const std::int64_t days = seconds / 86400, hours = seconds / 3600 % 24,
                     minutes = seconds / 60 % 60;
  if (days > 0) text += fmt::format("{}d", days);
  if (hours > 0) text += fmt::format("{}h", hours);
  if (minutes > 0) text += fmt::format("{}m", minutes);
  if (seconds % 60 > 0) text += fmt::format("{}s", seconds % 60);
  return text;
}

}  // namespace hearth
