// Times as text, in UTC and English whatever the machine's locale.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::jinja {

// The directives of C's strftime, with glibc's flags "-" (no padding), "_" (spaces), "0" and "^"
// (upper case).  Unknown directives stay as they are.
std::string format_time(std::string_view format, std::int64_t seconds);

}  // namespace hearth::jinja
