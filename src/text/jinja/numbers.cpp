#include "text/jinja/numbers.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "text/jinja/text_ops.h"

namespace hearth::jinja {
namespace {

constexpr std::size_t max_number_bytes = 512;

// Without spaces around and underscores between digits; nothing if an underscore stands elsewhere.
std::optional<std::string> tidy(std::string_view text) {
  const Piece inner = strip(text, StripSet(), true, true);
  text = text.substr(inner.first, inner.second - inner.first);
  if (text.empty() || text.size() > max_number_bytes) return std::nullopt;
  const auto is_letter_or_digit = [](char c) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    if (i == 0 || i + 1 == text.size() || !is_letter_or_digit(text[i - 1]) ||
        !is_letter_or_digit(text[i + 1]))
      return std::nullopt;
  }
  return out;
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t base) {
  const auto tidied = tidy(text);
  if (!tidied || base < 0 || base == 1 || base > 36) return std::nullopt;
  std::string_view digits = *tidied;
  const bool minus = digits.starts_with('-');
  if (minus || digits.starts_with('+')) digits.remove_prefix(1);
  if (digits.size() > 2 && digits[0] == '0') {
    const char letter = static_cast<char>(digits[1] | 32);
    const std::int64_t says = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (says != 0 && (base == says || base == 0)) {
      digits.remove_prefix(2);
      base = says;
    }
  }
  if (base == 0) {
    if (digits.size() > 1 && digits[0] == '0' && digits.find_first_not_of('0') != digits.npos)
      return std::nullopt;
    base = 10;
  }
  if (digits.empty() || digits[0] == '-' || digits[0] == '+') return std::nullopt;
  const std::string signed_digits = (minus ? "-" : "") + std::string(digits);
  std::int64_t value = 0;
  const char* const end = signed_digits.data() + signed_digits.size();
  const auto parsed = std::from_chars(signed_digits.data(), end, value, static_cast<int>(base));
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return value;
}

std::optional<double> parse_real(std::string_view text) {
  const auto tidied = tidy(text);
  if (!tidied) return std::nullopt;
  std::string_view digits = *tidied;
  const bool minus = digits.starts_with('-');
  if (minus || digits.starts_with('+')) digits.remove_prefix(1);
  if (digits.empty() || digits[0] == '-' || digits[0] == '+') return std::nullopt;
  if (digits.find('(') != std::string_view::npos) return std::nullopt;  // nan(...)
  double value = 0;
  const char* const end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, value);
  if (parsed.ptr != end || parsed.ec == std::errc::invalid_argument) return std::nullopt;
  if (parsed.ec == std::errc::result_out_of_range)
    value = std::strtod(std::string(digits).c_str(), nullptr);
  return minus ? -value : value;
}

double round_to(double value, int digits) {
  if (!std::isfinite(value)) return value;
  if (digits < 0) {
    const double scale = std::pow(10.0, -digits);
    const double quotient = value / scale;
    const double rounded = std::nearbyint(quotient) * scale;
    return std::isfinite(rounded) ? rounded : value;
  }
  // printf rounds the exact binary value, halves to even: what Python does too.
  char buffer[700];
  const int size = std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  if (size < 0 || static_cast<std::size_t>(size) >= sizeof buffer) return value;
  double rounded = 0;
  std::from_chars(buffer, buffer + size, rounded);
  return rounded;
}

}  // namespace hearth::jinja
