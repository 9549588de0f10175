#include "vectors/text/glob.h"

#include <string>

namespace hearth::vectors {
namespace {

constexpr int max_steps = 100'000;  // of one comparison: patterns of many stars end here

bool match(std::string_view pattern, std::string_view text, int& steps);

// pattern begins with '['.
bool match_set(std::string_view pattern, std::string_view text, int& steps) {
  const std::size_t end = pattern.find(']', 2);
  if (end == pattern.npos || text.empty() || text[0] == '/') return false;
  std::string_view set = pattern.substr(1, end - 1);
  const bool is_negated = set[0] == '!' || set[0] == '^';
  if (is_negated) set.remove_prefix(1);
  bool is_in = false;
  for (std::size_t i = 0; i < set.size(); ++i) {
    const bool is_range = i + 2 < set.size() && set[i + 1] == '-';
    is_in = is_in || (is_range ? text[0] >= set[i] && text[0] <= set[i + 2] : text[0] == set[i]);
    if (is_range) i += 2;
  }
  return is_in != is_negated && match(pattern.substr(end + 1), text.substr(1), steps);
}

// pattern begins with '{'.
bool match_choice(std::string_view pattern, std::string_view text, int& steps) {
  const std::size_t end = pattern.find('}');
  if (end == pattern.npos) return false;
  for (std::size_t at = 1; at <= end;) {
    const std::size_t next = std::min(pattern.find(',', at), end);
    const std::string whole =
        std::string(pattern.substr(at, next - at)) + std::string(pattern.substr(end + 1));
    if (match(whole, text, steps)) return true;
    at = next + 1;
  }
  return false;
}

bool match_star(std::string_view pattern, std::string_view text, int& steps) {
  const bool crosses = pattern.starts_with("**");
  std::string_view rest = pattern.substr(crosses ? 2 : 1);
  // "**/x" finds x itself too.
  if (crosses && rest.starts_with('/') && match(rest.substr(1), text, steps)) return true;
  for (std::size_t i = 0;; ++i) {
    if (match(rest, text.substr(i), steps)) return true;
    if (i == text.size() || (text[i] == '/' && !crosses)) return false;
  }
}

bool match(std::string_view pattern, std::string_view text, int& steps) {
  while (!pattern.empty()) {
    if (++steps > max_steps) return false;
    if (pattern[0] == '*') return match_star(pattern, text, steps);
    if (pattern[0] == '[') return match_set(pattern, text, steps);
    if (pattern[0] == '{') return match_choice(pattern, text, steps);
    if (text.empty() || (pattern[0] == '?' ? text[0] == '/' : pattern[0] != text[0])) return false;
    pattern.remove_prefix(1);
    text.remove_prefix(1);
  }
  return text.empty();
}

}  // namespace

bool matches_glob(std::string_view pattern, std::string_view path) {
  if (pattern.find('/') == pattern.npos) path = path.substr(path.find_last_of('/') + 1);
  int steps = 0;
  return match(pattern, path, steps);
}

}  // namespace hearth::vectors
