#pragma once

#include <algorithm>
#include <string>
#include <string_view>

// Letters A to Z alone, whatever the locale; every other byte stands for itself.
namespace hearth {

constexpr char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
constexpr char ascii_upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

inline std::string ascii_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = ascii_lower(c);
  return out;
}
inline std::string ascii_upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = ascii_upper(c);
  return out;
}

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return ascii_lower(x) == ascii_lower(y); });
}
constexpr bool ends_ignoring_case(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() &&
         equal_ignoring_case(text.substr(text.size() - ending.size()), ending);
}

// Without the spaces, tabs and ends of lines around it.
constexpr std::string_view ascii_blanks = " \t\r\n";
constexpr std::string_view trimmed_end(std::string_view text) {
  return text.substr(0, text.find_last_not_of(ascii_blanks) + 1);  // of npos: 0
}
constexpr std::string_view trimmed(std::string_view text) {
  text = trimmed_end(text);
  return text.substr(std::min(text.find_first_not_of(ascii_blanks), text.size()));
}

// Takes the first line off a text, without its end ("\n" or "\r\n").
constexpr std::string_view take_line(std::string_view& text) {
  std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace hearth
