#include "text/jinja/format_spec.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/utf8.h"
#include "text/jinja/printing.h"
#include "text/jinja/text_ops.h"

namespace hearth::jinja {
namespace {

std::string c_format(const char* format, int precision, double value) {
  char buffer[1024];
  const int size = std::snprintf(buffer, sizeof buffer, format, precision, value);
  return std::string(buffer, static_cast<std::size_t>(std::clamp(size, 0, 1023)));
}

// Groups of `size` digits in the whole part.
std::string grouped(const std::string& digits, char separator, std::size_t size) {
  const std::size_t whole =
      std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  std::string out;
  for (std::size_t i = 0; i < whole; ++i) {
    if (i && (whole - i) % size == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(whole);
}

std::string sign_text(bool negative, char wanted) {
  if (negative) return "-";
  return wanted == '-' ? "" : std::string(1, wanted);
}

// Like %g, but with a digit after the point, and scientific one digit earlier.
std::string short_real(double value, int precision) {
  precision = std::max(precision, 1);
  std::string text = c_format("%.*e", precision - 1, value);
  const std::size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  if (exponent < -4 || exponent >= precision - 1) {
    std::string digits = text.substr(0, e);
    if (digits.find('.') != std::string::npos) {
      digits.erase(digits.find_last_not_of('0') + 1);
      if (digits.back() == '.') digits.pop_back();
    }
    return digits + text.substr(e);
  }
  text = c_format("%.*f", std::max(precision - 1 - exponent, 0), value);
  if (text.find('.') != std::string::npos) text.erase(text.find_last_not_of('0') + 1);
  if (text.find('.') == std::string::npos) text += '.';
  return text.back() == '.' ? text + "0" : text;
}

std::string unsigned_real(double value, const FormatSpec& spec) {
  const int precision = spec.precision < 0 ? 6 : spec.precision;
  switch (spec.type) {
    case 'e':
      return c_format(spec.alternate ? "%#.*e" : "%.*e", precision, value);
    case 'E':
      return c_format(spec.alternate ? "%#.*E" : "%.*E", precision, value);
    case 'f':
    case 'F':
      return c_format(spec.alternate ? "%#.*f" : "%.*f", precision, value);
    case 'g':
    case 'n':
      return c_format(spec.alternate ? "%#.*g" : "%.*g", precision, value);
    case 'G':
      return c_format(spec.alternate ? "%#.*G" : "%.*G", precision, value);
    case '%':
      return c_format("%.*f", precision, value * 100) + "%";
    default:
      return spec.precision < 0 ? real_text(value) : short_real(value, spec.precision);
  }
}

Status too_wide(Interpreter& in, const FormatSpec& spec) {
  if (spec.width > static_cast<std::int64_t>(in.limits().text_bytes))
    return in.error(
        fmt::format("a text of more than {} bytes (limit output_bytes)", in.limits().text_bytes));
  return Done{};
}

void append_fill(TextBuilder& out, const FormatSpec& spec, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) out.append(spec.fill);
}

}  // namespace

NumberText integer_digits(std::int64_t value, const FormatSpec& spec) {
  NumberText number{sign_text(value < 0, spec.sign), {}};
  std::uint64_t left =
      value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  const unsigned base = spec.type == 'b'          ? 2
                        : spec.type == 'o'        ? 8
                        : (spec.type | 32) == 'x' ? 16
                                                  : 10;
  const char* const characters = spec.type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  do {
    number.digits += characters[left % base];
    left /= base;
  } while (left != 0);
  std::reverse(number.digits.begin(), number.digits.end());
  if (spec.alternate && base != 10) number.sign += std::string("0") + spec.type;
  if (spec.grouping) number.digits = grouped(number.digits, spec.grouping, base == 10 ? 3 : 4);
  return number;
}

NumberText real_digits(double value, const FormatSpec& spec) {
  NumberText number{sign_text(std::signbit(value) && !std::isnan(value), spec.sign), {}};
  if (!std::isfinite(value)) {
    number.digits = std::isnan(value) ? "nan" : "inf";
    if (spec.type == 'E' || spec.type == 'F' || spec.type == 'G')
      number.digits = std::isnan(value) ? "NAN" : "INF";
    if (spec.type == '%') number.digits += '%';
    return number;
  }
  number.digits = unsigned_real(std::abs(value), spec);
  if (spec.grouping) number.digits = grouped(number.digits, spec.grouping, 3);
  return number;
}

Status append_number(Interpreter& in, TextBuilder& out, const NumberText& number,
                     const FormatSpec& spec, bool trusted) {
  TRY(too_wide(in, spec));
  const auto size = static_cast<std::int64_t>(number.sign.size() + number.digits.size());
  const std::int64_t missing = std::max<std::int64_t>(spec.width - size, 0);
  const char align = spec.align ? spec.align : '>';
  if (align == '>') append_fill(out, spec, missing);
  if (align == '^') append_fill(out, spec, missing / 2);
  out.append(number.sign, trusted);
  if (align == '=') append_fill(out, spec, missing);
  out.append(number.digits, trusted);
  if (align == '<') append_fill(out, spec, missing);
  if (align == '^') append_fill(out, spec, missing - missing / 2);
  return out.check();
}

Result<Value> character_of(Interpreter& in, const Value& value) {
  const std::int64_t point = value.as_integer();
  if (point < 0 || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
    return in.error("%c arg not in range(0x110000)");
  std::string text;
  append_utf8(text, static_cast<std::uint32_t>(point));
  return Value::text(Marked(text, !value.from_input()));
}

Status append_text(Interpreter& in, TextBuilder& out, const Str& text, const FormatSpec& spec,
                   char default_align) {
  TRY(too_wide(in, spec));
  std::size_t points = text.points(), end = text.text.size();
  if (spec.precision >= 0 && points > static_cast<std::size_t>(spec.precision)) {
    points = static_cast<std::size_t>(spec.precision);
    end = byte_of_point(text, points);
  }
  const std::int64_t missing =
      std::max<std::int64_t>(spec.width - static_cast<std::int64_t>(points), 0);
  const char align = spec.align ? spec.align : default_align;
  if (align == '>') append_fill(out, spec, missing);
  if (align == '^') append_fill(out, spec, missing / 2);
  out.append(text.text, 0, end);
  if (align == '<') append_fill(out, spec, missing);
  if (align == '^') append_fill(out, spec, missing - missing / 2);
  return out.check();
}

}  // namespace hearth::jinja
