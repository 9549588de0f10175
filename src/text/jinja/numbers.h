// Numbers as Python reads and rounds them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hearth::jinja {

// int(text, base): spaces around, underscores between digits, a prefix that agrees with the base.
std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t base);
// float(text): also inf and nan.
std::optional<double> parse_real(std::string_view text);
// round(value, digits): to the nearest decimal, exact halves of the binary value to even.
double round_to(double value, int digits);

}  // namespace hearth::jinja
