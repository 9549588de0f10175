#include "base/utf8.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

namespace hearth {
namespace {

// The permitted range of the second byte depends on the first.
struct Lead {
  std::uint32_t size;
  unsigned char low, high;
};

Lead lead_of(unsigned char c) {
  if (c < 0x80) return {1, 0, 0};
  if (c < 0xC2) return {0, 0, 0};
  if (c < 0xE0) return {2, 0x80, 0xBF};
  if (c == 0xE0) return {3, 0xA0, 0xBF};
  if (c == 0xED) return {3, 0x80, 0x9F};
  if (c < 0xF0) return {3, 0x80, 0xBF};
  if (c == 0xF0) return {4, 0x90, 0xBF};
  if (c < 0xF4) return {4, 0x80, 0xBF};
  if (c == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Decoded decode_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const Lead lead = lead_of(byte(0));
  if (lead.size == 1) return {byte(0), 1, true};
  if (lead.size == 0) return {0xFFFD, 1, false};
  std::uint32_t point = byte(0) & (0xFFu >> (lead.size + 1));
  for (std::uint32_t i = 1; i < lead.size; ++i) {
    const unsigned char low = i == 1 ? lead.low : 0x80, high = i == 1 ? lead.high : 0xBF;
    if (i >= text.size() || byte(i) < low || byte(i) > high) return {0xFFFD, i, false};
    point = point << 6 | (byte(i) & 0x3F);
  }
  return {point, lead.size, true};
}

void append_utf8(std::string& out, std::uint32_t point) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | point >> 6);
    put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3F));
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    std::uint64_t word = 0;
    if (text.size() >= sizeof word) {
      std::memcpy(&word, text.data(), sizeof word);
      if ((word & 0x8080808080808080u) == 0) {  // eight characters of ASCII
        text.remove_prefix(sizeof word);
        continue;
      }
    }
    const Decoded d = decode_utf8(text);
    if (!d.valid) return false;
    text.remove_prefix(d.size);
  }
  return true;
}

std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Decoded d = decode_utf8(text);
    if (d.valid)
      out.append(text.substr(0, d.size));
    else
      append_utf8(out, 0xFFFD);
    text.remove_prefix(d.size);
  }
  return out;
}

namespace {
// Invisible, or able to change how what follows is shown.
bool misleads(std::uint32_t point) {
  return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0xAD || point == 0x61C ||
         (point >= 0x200B && point <= 0x200F) || (point >= 0x2028 && point <= 0x202E) ||
         (point >= 0x2060 && point <= 0x206F) || point == 0xFEFF || point >= 0xE0000;
}
}  // namespace

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= max_bytes) return out += "...";
    const Decoded d = decode_utf8(text);
    if (!d.valid || d.point < 0x80) {
      const auto byte = static_cast<unsigned char>(text[0]);
      if (d.valid && !misleads(byte))
        out += text[0];
      else
        out += fmt::format("\\x{:02x}", byte);
      text.remove_prefix(1);
      continue;
    }
    if (misleads(d.point))
      out += fmt::format("\\u{{{:x}}}", d.point);
    else
      out.append(text.substr(0, d.size));
    text.remove_prefix(d.size);
  }
  return out;
}

std::size_t incomplete_tail(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const std::string_view tail = text.substr(text.size() - back);
    const auto c = static_cast<unsigned char>(tail[0]);
    if ((c & 0xC0) == 0x80) continue;
    const Lead lead = lead_of(c);
    // A lead byte whose continuation is so far right, but cut off.
    return lead.size > back && decode_utf8(tail).size == back ? back : 0;
  }
  return 0;
}

}  // namespace hearth
