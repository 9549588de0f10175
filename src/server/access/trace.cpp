#include "server/access/trace.h"

#include <fmt/core.h>

#include <algorithm>

#include "http/secrets.h"

namespace hearth::server {
namespace {

bool is_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}
bool is_id(std::string_view text) {
  return is_hex(text) && text.find_first_not_of('0') != text.npos;
}

std::string new_span() { return fmt::format("{:016x}", http::random_u64() | 1); }

}  // namespace

std::string Trace::header() const { return fmt::format("00-{}-{}-{}", trace_id, span_id, flags); }

Trace trace_of(const std::string* traceparent) {
  constexpr std::size_t size = 55;
  Trace trace;
  trace.span_id = new_span();
  if (traceparent) {
    const std::string_view text = *traceparent;
    // Later versions may have more behind a dash; version ff is none.
    const bool is_whole =
        text.size() == size || (text.size() > size && text[size] == '-' && !text.starts_with("00"));
    if (is_whole && text[2] == '-' && text[35] == '-' && text[52] == '-' &&
        is_hex(text.substr(0, 2)) && !text.starts_with("ff") && is_id(text.substr(3, 32)) &&
        is_id(text.substr(36, 16)) && is_hex(text.substr(53, 2))) {
      trace.trace_id = text.substr(3, 32);
      trace.parent_id = text.substr(36, 16);
      trace.flags = text.substr(53, 2);
      return trace;
    }
  }
  trace.trace_id = new_span() + new_span();
  return trace;
}

}  // namespace hearth::server
