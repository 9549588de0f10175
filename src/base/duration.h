// Spans of time as people write them: "90", "5m", "1h30m", "1.5s", "-1".
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth {

using Milliseconds = std::chrono::milliseconds;

// What does not end.
constexpr Milliseconds forever = Milliseconds::max();

// Units: ms, s, m, h, d; a number alone is seconds.  Anything negative is `forever`.
// Errors: invalid, with what is understood.
Result<Milliseconds> parse_duration(std::string_view text);
Milliseconds duration_of_seconds(double seconds);  // negative: forever
std::string duration_text(Milliseconds duration);  // "5m", "1h30m", "forever"

}  // namespace hearth
