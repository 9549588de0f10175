#include "library/content_range.h"

#include <charconv>
#include <string_view>

namespace hearth {

std::optional<ContentRange> parse_content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  const char* at = text.data() + 6;
  const char* end = text.data() + text.size();
  ContentRange range;
  std::uint64_t last = 0, total = 0;
  auto parsed = std::from_chars(at, end, range.first);
  if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != '-') return std::nullopt;
  parsed = std::from_chars(parsed.ptr + 1, end, last);
  if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != '/') return std::nullopt;
  if (last < range.first) return std::nullopt;
  if (std::string_view(parsed.ptr + 1, end) == "*") return range;
  parsed = std::from_chars(parsed.ptr + 1, end, total);
  if (parsed.ec != std::errc() || parsed.ptr != end || total <= last) return std::nullopt;
  range.total = total;
  return range;
}

}  // namespace hearth
