#include "http/target.h"

#include <algorithm>

#include "base/utf8.h"

namespace hearth::http {
namespace {

// Far above any real request; bounds the work of one line of 8 KiB.
constexpr std::size_t max_query_fields = 256;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Error bad(const char* what) { return Error(ErrorKind::invalid, what); }

// Collapses repeated slashes, drops the last one, refuses "." and "..".
Result<std::string> regular_path(std::string_view path) {
  std::string regular;
  while (!path.empty()) {
    const std::size_t begin = path.find_first_not_of('/');
    if (begin == std::string_view::npos) break;
    path.remove_prefix(begin);
    const std::string_view part = path.substr(0, path.find('/'));
    if (part == "." || part == "..") return bad("the path has a '.' or '..' part");
    regular += '/';
    regular += part;
    path.remove_prefix(part.size());
  }
  if (regular.empty()) regular += '/';
  return regular;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> fields;
  while (!text.empty()) {
    const std::string_view field = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), field.size() + 1));
    if (field.empty()) continue;
    if (fields.size() == max_query_fields) return bad("the query has too many fields");
    const std::size_t equals = field.find('=');
    std::string name = TRY(percent_decode(field.substr(0, equals), true));
    std::string value;
    if (equals != std::string_view::npos)
      value = TRY(percent_decode(field.substr(equals + 1), true));
    fields.emplace_back(std::move(name), std::move(value));
  }
  return fields;
}

}  // namespace

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '+' && plus_is_space) c = ' ';
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
      if (low < 0) return bad("the target has a broken %-escape");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return bad("the target has a control byte");
    decoded += c;
  }
  if (!is_utf8(decoded)) return bad("the target is not UTF-8");
  return decoded;
}

Result<Target> parse_target(std::string_view text) {
  Target target;
  if (text == "*") {
    target.path = "*";
    return target;
  }
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!text.starts_with(scheme)) continue;
    text.remove_prefix(scheme.size());
    const std::size_t end = std::min(text.find_first_of("/?"), text.size());
    target.authority = text.substr(0, end);
    if (target.authority.empty()) return bad("the target has no host");
    text.remove_prefix(end);
    if (text.empty()) text = "/";
    break;
  }
  if (text.empty() || (text[0] != '/' && target.authority.empty()))
    return bad("the target does not begin with '/'");
  if (text.find('#') != std::string_view::npos) return bad("the target has a fragment");
  const std::size_t mark = text.find('?');
  const std::string path = TRY(percent_decode(text.substr(0, mark)));
  target.path = TRY(regular_path(path));
  if (mark != std::string_view::npos) target.query = TRY(parse_query(text.substr(mark + 1)));
  return target;
}

}  // namespace hearth::http
