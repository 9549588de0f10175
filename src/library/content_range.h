// The Content-Range header of an answer with a part of a file.  Source: RFC 9110, 14.4.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hearth {

// "bytes 5-9/10"
struct ContentRange {
  std::uint64_t first = 0;
  std::optional<std::uint64_t> total;  // '*': the server does not know
};
std::optional<ContentRange> parse_content_range(std::string_view text);  // nothing: nonsense

}  // namespace hearth
