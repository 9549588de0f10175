#include "text/jinja/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>
#include <span>

#include "base/utf8.h"

namespace hearth::jinja {
namespace {

struct Range {
  std::uint32_t first, last;
};
struct Mapping {
  std::uint32_t point;
  const char* text;
};

// What the general categories and simple mappings of utf8proc do not say:
// digits_table, numerics_table, lower_table, upper_table (ranges);
// special_upper_table, special_lower_table, special_title_table (one character to several).
#include "text/jinja/unicode_table.inc"

bool inside(std::span<const Range> ranges, std::uint32_t point) {
  const auto next = std::upper_bound(ranges.begin(), ranges.end(), point,
                                     [](std::uint32_t p, const Range& r) { return p < r.first; });
  return next != ranges.begin() && point <= std::prev(next)->last;
}

const char* special(std::span<const Mapping> table, std::uint32_t point) {
  const auto found =
      std::lower_bound(table.begin(), table.end(), point,
                       [](const Mapping& m, std::uint32_t p) { return m.point < p; });
  return found != table.end() && found->point == point ? found->text : nullptr;
}

utf8proc_category_t category(std::uint32_t point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(point));
}

bool is_letter(utf8proc_category_t c) {
  return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool ascii_letter(std::uint32_t point) { return (point | 32u) - 'a' < 26; }

template <typename Simple>
void append_mapped(std::string& out, std::uint32_t point, std::span<const Mapping> table,
                   Simple simple) {
  if (const char* text = point < 128 ? nullptr : special(table, point))
    out += text;
  else
    append_utf8(out, static_cast<std::uint32_t>(simple(static_cast<utf8proc_int32_t>(point))));
}

}  // namespace

bool is_space(std::uint32_t point) {
  if (point < 128)
    return point == ' ' || (point >= 9 && point <= 13) || (point >= 28 && point <= 31);
  return point == 0x85 || point == 0xA0 || point == 0x1680 ||
         (point >= 0x2000 && point <= 0x200A) || point == 0x2028 || point == 0x2029 ||
         point == 0x202F || point == 0x205F || point == 0x3000;
}

bool is_alpha(std::uint32_t point) {
  return point < 128 ? ascii_letter(point) : is_letter(category(point));
}

bool is_decimal(std::uint32_t point) {
  return point < 128 ? point - '0' < 10 : category(point) == UTF8PROC_CATEGORY_ND;
}

bool is_digit(std::uint32_t point) { return is_decimal(point) || inside(digits_table, point); }
bool is_numeric(std::uint32_t point) { return is_digit(point) || inside(numerics_table, point); }
bool is_alnum(std::uint32_t point) { return is_alpha(point) || is_numeric(point); }

bool is_lower(std::uint32_t point) {
  if (point < 128) return point - 'a' < 26;
  return category(point) == UTF8PROC_CATEGORY_LL || inside(lower_table, point);
}

bool is_upper(std::uint32_t point) {
  if (point < 128) return point - 'A' < 26;
  return category(point) == UTF8PROC_CATEGORY_LU || inside(upper_table, point);
}

bool is_title(std::uint32_t point) {
  return point >= 128 && category(point) == UTF8PROC_CATEGORY_LT;
}

bool is_cased(std::uint32_t point) { return is_lower(point) || is_upper(point) || is_title(point); }

bool is_printable(std::uint32_t point) {
  if (point < 128) return point >= 32 && point < 127;
  switch (category(point)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_line_break(std::uint32_t point) {
  return (point >= 10 && point <= 13) || (point >= 28 && point <= 30) || point == 0x85 ||
         point == 0x2028 || point == 0x2029;
}

bool is_identifier_start(std::uint32_t point) {
  if (point < 128) return point == '_' || ascii_letter(point);
  const auto c = category(point);
  return is_letter(c) || c == UTF8PROC_CATEGORY_NL;
}

bool is_identifier_part(std::uint32_t point) {
  if (point < 128) return point == '_' || ascii_letter(point) || point - '0' < 10;
  const auto c = category(point);
  return is_letter(c) || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_MN ||
         c == UTF8PROC_CATEGORY_MC || c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_PC;
}

void append_upper(std::string& out, std::uint32_t point) {
  append_mapped(out, point, special_upper_table, utf8proc_toupper);
}
void append_lower(std::string& out, std::uint32_t point) {
  append_mapped(out, point, special_lower_table, utf8proc_tolower);
}
void append_title(std::string& out, std::uint32_t point) {
  append_mapped(out, point, special_title_table, utf8proc_totitle);
}

void append_folded(std::string& out, std::uint32_t point) {
  utf8proc_int32_t buffer[8];
  int last_boundary = 0;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(point), buffer, 8,
                                             UTF8PROC_CASEFOLD, &last_boundary);
  if (count <= 0 || count > 8) return append_utf8(out, point);
  for (int i = 0; i < count; ++i) append_utf8(out, static_cast<std::uint32_t>(buffer[i]));
}

}  // namespace hearth::jinja
