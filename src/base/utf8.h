// UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF.
// Source: The Unicode Standard 15.0, table 3-7.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth {

struct Decoded {
  std::uint32_t point;  // 0xFFFD when invalid
  std::uint32_t size;   // bytes used, at least 1: the maximal subpart when invalid
  bool valid;
};

// The first code point of `text`, which is not empty.
Decoded decode_utf8(std::string_view text);
void append_utf8(std::string& out, std::uint32_t point);
bool is_utf8(std::string_view text);
// Every invalid byte run becomes U+FFFD.
std::string repair_utf8(std::string_view text);
// `text` fit for a message or a log line: control, format and bidirectional characters and invalid
// bytes become \xNN or \u{NNNN}, and what is past `max_bytes` becomes "...".
std::string printable(std::string_view text, std::size_t max_bytes = 80);
// How many bytes at the end of `text` begin a character that is not complete yet: 0 to 3.
std::size_t incomplete_tail(std::string_view text);

}  // namespace hearth
