// The target of a request line: path and query, decoded and made regular.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hearth::http {

struct Target {
  std::string authority;  // of an absolute target ("http://host:1/path"); else empty
  std::string path;       // as Request::path promises; "*" for OPTIONS *
  std::vector<std::pair<std::string, std::string>> query;
};

// Errors: invalid, for broken escapes, control bytes, bytes that are not UTF-8, "." and ".." parts.
// Source: RFC 9112, section 3.2.
Result<Target> parse_target(std::string_view text);

// %XX becomes its byte; with `plus_is_space`, '+' a space.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

}  // namespace hearth::http
