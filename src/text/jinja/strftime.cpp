#include "text/jinja/strftime.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/ascii.h"

namespace hearth::jinja {
namespace {

constexpr const char* weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                    "Thursday", "Friday", "Saturday"};
constexpr const char* months[] = {"January",   "February", "March",    "April",
                                  "May",       "June",     "July",     "August",
                                  "September", "October",  "November", "December"};

struct Time {
  std::int64_t year = 1970, seconds = 0;
  int month = 1, day = 1, hour = 0, minute = 0, second = 0;
  int weekday = 4;   // 0: Sunday
  int year_day = 0;  // 0: January 1st
};

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0);
}

bool is_leap(std::int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
Time time_of(std::int64_t seconds) {
  constexpr std::int64_t bound = 253402300799;  // the end of the year 9999
  seconds = std::clamp(seconds, -bound, bound);
  Time time;
  time.seconds = seconds;
  const std::int64_t days = floor_divide(seconds, 86400);
  const auto rest = static_cast<int>(seconds - days * 86400);
  time.hour = rest / 3600;
  time.minute = rest / 60 % 60;
  time.second = rest % 60;
  time.weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);
  const std::int64_t shifted = days + 719468, era = floor_divide(shifted, 146097);
  const std::int64_t of_era = shifted - era * 146097;
  const std::int64_t year_of_era =
      (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const auto from_march =
      static_cast<int>(of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100));
  const int shifted_month = (5 * from_march + 2) / 153;
  time.day = from_march - (153 * shifted_month + 2) / 5 + 1;
  time.month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  time.year = year_of_era + era * 400 + (time.month <= 2 ? 1 : 0);
  static constexpr int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  time.year_day =
      before[time.month - 1] + time.day - 1 + (time.month > 2 && is_leap(time.year) ? 1 : 0);
  return time;
}

struct IsoWeek {
  std::int64_t year;
  int week;
};

// Source: ISO 8601: week 1 is the one with the year's first Thursday.
IsoWeek iso_week(const Time& time) {
  const int from_monday = (time.weekday + 6) % 7;
  const int week = (time.year_day - from_monday + 10) / 7;
  const auto weeks_in = [](std::int64_t year) {
    const auto last_day = [](std::int64_t y) {
      return (y + floor_divide(y, 4) - floor_divide(y, 100) + floor_divide(y, 400)) % 7;
    };
    return last_day(year) == 4 || last_day(year - 1) == 3 ? 53 : 52;
  };
  if (week < 1) return {time.year - 1, weeks_in(time.year - 1)};
  if (week > weeks_in(time.year)) return {time.year + 1, 1};
  return {time.year, week};
}

std::string padded(std::int64_t value, int width, char fill, char flag) {
  if (flag == '-') return std::to_string(value);
  if (flag == '_') fill = ' ';
  if (flag == '0') fill = '0';
  const std::string digits = std::to_string(value);
  const auto wanted = static_cast<std::size_t>(width);
  return digits.size() < wanted ? std::string(wanted - digits.size(), fill) + digits : digits;
}

std::string directive(const Time& time, char what, char flag);

std::string composed(const Time& time, std::string_view format) {
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i)
    out += format[i] == '%' ? directive(time, format[++i], '\0') : std::string(1, format[i]);
  return out;
}

std::string directive(const Time& time, char what, char flag) {
  const int hour12 = time.hour % 12 == 0 ? 12 : time.hour % 12;
  switch (what) {
    case 'a':
      return std::string(weekdays[time.weekday]).substr(0, 3);
    case 'A':
      return weekdays[time.weekday];
    case 'b':
    case 'h':
      return std::string(months[time.month - 1]).substr(0, 3);
    case 'B':
      return months[time.month - 1];
    case 'c':
      return composed(time, "%a %b %e %H:%M:%S %Y");
    case 'C':
      return padded(time.year / 100, 2, '0', flag);
    case 'd':
      return padded(time.day, 2, '0', flag);
    case 'D':
    case 'x':
      return composed(time, "%m/%d/%y");
    case 'e':
      return padded(time.day, 2, ' ', flag);
    case 'f':
      return "000000";
    case 'F':
      return composed(time, "%Y-%m-%d");
    case 'g':
      return padded(iso_week(time).year % 100, 2, '0', flag);
    case 'G':
      return std::to_string(iso_week(time).year);
    case 'H':
      return padded(time.hour, 2, '0', flag);
    case 'I':
      return padded(hour12, 2, '0', flag);
    case 'j':
      return padded(time.year_day + 1, 3, '0', flag);
    case 'k':
      return padded(time.hour, 2, ' ', flag);
    case 'l':
      return padded(hour12, 2, ' ', flag);
    case 'm':
      return padded(time.month, 2, '0', flag);
    case 'M':
      return padded(time.minute, 2, '0', flag);
    case 'n':
      return "\n";
    case 'p':
      return time.hour < 12 ? "AM" : "PM";
    case 'P':
      return time.hour < 12 ? "am" : "pm";
    case 'r':
      return composed(time, "%I:%M:%S %p");
    case 'R':
      return composed(time, "%H:%M");
    case 's':
      return std::to_string(time.seconds);
    case 'S':
      return padded(time.second, 2, '0', flag);
    case 't':
      return "\t";
    case 'T':
    case 'X':
      return composed(time, "%H:%M:%S");
    case 'u':
      return std::to_string(time.weekday == 0 ? 7 : time.weekday);
    case 'U':
      return padded((time.year_day + 7 - time.weekday) / 7, 2, '0', flag);
    case 'V':
      return padded(iso_week(time).week, 2, '0', flag);
    case 'w':
      return std::to_string(time.weekday);
    case 'W':
      return padded((time.year_day + 7 - (time.weekday + 6) % 7) / 7, 2, '0', flag);
    case 'y':
      return padded(time.year % 100, 2, '0', flag);
    case 'Y':
      return std::to_string(time.year);
    case 'z':
    case 'Z':
      return "";  // Python's naive time has no zone
    case '%':
      return "%";
    default:
      return flag ? std::string{'%', flag, what} : std::string{'%', what};
  }
}

}  // namespace

std::string format_time(std::string_view format, std::int64_t seconds) {
  const Time time = time_of(seconds);
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    char flag = '\0';
    if (std::string_view("-_0^").find(format[i + 1]) != std::string_view::npos &&
        i + 2 < format.size())
      flag = format[++i];
    std::string piece = directive(time, format[++i], flag);
    if (flag == '^') piece = ascii_upper(piece);
    out += piece;
  }
  return out;
}

}  // namespace hearth::jinja
