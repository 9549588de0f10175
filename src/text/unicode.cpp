#include "text/unicode.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <utf8proc.h>

#include "base/check.h"
#include "base/utf8.h"

namespace hearth::unicode {
namespace {

#include "text/unicode_table.inc"

constexpr std::uint8_t space_flag = 0x20, han_flag = 0x40, category_mask = 0x1F;
constexpr std::size_t block_size = 128;

constexpr std::uint8_t flags_of(std::uint32_t point) {
  if (point > 0x10FFFF) return Cn;
  return unicode_stage2[unicode_stage1[point / block_size]][point % block_size];
}

constexpr Class make_class(std::uint32_t point) {
  const std::uint8_t flags = flags_of(point);
  return bit(static_cast<Category>(flags & category_mask)) | (flags & space_flag ? space : 0) |
         (point == '\n' || point == '\r' ? newline : 0);
}

constexpr AsciiClasses make_ascii() {
  AsciiClasses table{};
  for (std::uint32_t c = 0; c < 128; ++c) table.of[c] = make_class(c);
  return table;
}

utf8proc_option_t options_of(Form form) {
  const int base = UTF8PROC_STABLE;
  switch (form) {
    case Form::nfc:
      return static_cast<utf8proc_option_t>(base | UTF8PROC_COMPOSE);
    case Form::nfd:
      return static_cast<utf8proc_option_t>(base | UTF8PROC_DECOMPOSE);
    case Form::nfkc:
      return static_cast<utf8proc_option_t>(base | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    case Form::nfkd:
      return static_cast<utf8proc_option_t>(base | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  }
  HEARTH_CHECK(false);
}

// The first byte at or after `at` that is not ASCII.
std::size_t skip_ascii(std::string_view text, std::size_t at) {
  while (at + 8 <= text.size()) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + at, sizeof word);
    if (word & 0x8080808080808080u) break;
    at += 8;
  }
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

// NFC_Quick_Check=Yes and Canonical_Combining_Class=0; not all such, but whole common ranges.
bool is_surely_nfc(std::uint32_t c) {
  return c < 0x300 || (c >= 0x400 && c < 0x483) || (c >= 0x2010 && c < 0x2028) ||
         (c >= 0x3001 && c < 0x302A) || (c >= 0x3041 && c < 0x3097) ||
         (c >= 0x30A1 && c < 0x30FB) || (c >= 0x4E00 && c < 0xA000) ||
         (c >= 0xAC00 && c < 0xD7A4) || (c >= 0xFF01 && c < 0xFF61);
}

void normalize_run(std::string_view text, Form form, std::string& out) {
  const utf8proc_option_t options = options_of(form);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = static_cast<utf8proc_ssize_t>(text.size());
  std::vector<utf8proc_int32_t> points(text.size() + 1);
  utf8proc_ssize_t count = utf8proc_decompose(bytes, size, points.data(), size, options);
  if (count > size) {
    points.resize(static_cast<std::size_t>(count) + 1);
    count = utf8proc_decompose(bytes, size, points.data(), count, options);
  }
  HEARTH_CHECK(count >= 0);
  count = utf8proc_normalize_utf32(points.data(), count, options);
  HEARTH_CHECK(count >= 0);
  for (utf8proc_ssize_t i = 0; i < count; ++i)
    append_utf8(out, static_cast<std::uint32_t>(points[static_cast<std::size_t>(i)]));
}

}  // namespace

constinit const AsciiClasses ascii = make_ascii();

Class class_of(std::uint32_t point) { return make_class(point); }

bool is_han(std::uint32_t point) { return (flags_of(point) & han_flag) != 0; }

Char decode_multibyte(const char* p, const char* end) {
  const auto byte = [&](int i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(p[i]));
  };
  const auto continues = [&](int i) { return (byte(i) & 0xC0) == 0x80; };
  constexpr Char invalid{0xFFFD, 1};
  const std::uint32_t lead = byte(0);
  if (lead < 0xC2 || lead > 0xF4) return invalid;
  if (lead < 0xE0) {
    if (end - p < 2 || !continues(1)) return invalid;
    return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  }
  if (lead < 0xF0) {
    if (end - p < 3 || !continues(1) || !continues(2)) return invalid;
    const std::uint32_t point = (lead & 0xF) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    return point < 0x800 || (point >= 0xD800 && point < 0xE000) ? invalid : Char{point, 3};
  }
  if (end - p < 4 || !continues(1) || !continues(2) || !continues(3)) return invalid;
  const std::uint32_t point =
      (lead & 7) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  return point < 0x10000 || point > 0x10FFFF ? invalid : Char{point, 4};
}

Char decode_before(const char* begin, const char* p) {
  const char* start = p - 1;
  while (start > begin && p - start < 4 && (static_cast<unsigned char>(*start) & 0xC0) == 0x80)
    --start;
  const Char c = decode(start, p);
  if (start + c.size == p) return c;
  return {0xFFFD, 1};
}

void append_lowercase(std::string& out, std::uint32_t point) {
  if (point == 0x130) {
    out += "i\xCC\x87";
    return;
  }
  append_utf8(out, static_cast<std::uint32_t>(utf8proc_tolower(static_cast<std::int32_t>(point))));
}

std::string normalize(std::string_view text, Form form) {
  std::string out;
  out.reserve(text.size() + 16);
  for (std::size_t at = 0; at < text.size();) {
    // ASCII is normal by itself, but its last character may take marks from what follows.
    std::size_t end = skip_ascii(text, at);
    if (end == text.size()) {
      out += text.substr(at);
      break;
    }
    if (end > at) --end;
    out += text.substr(at, end - at);
    at = end;
    bool normal = form == Form::nfc;
    if (static_cast<unsigned char>(text[end]) < 0x80) ++end;
    while (end < text.size() && static_cast<unsigned char>(text[end]) >= 0x80) {
      const Char c = decode(text.data() + end, text.data() + text.size());
      normal = normal && is_surely_nfc(c.point);
      end += c.size;
    }
    const std::string_view run = text.substr(at, end - at);
    if (normal)
      out += run;
    else
      normalize_run(run, form, out);
    at = end;
  }
  return out;
}

std::size_t grapheme_size(std::string_view text) {
  const char* const end = text.data() + text.size();
  Char previous = decode(text.data(), end);
  std::size_t size = previous.size;
  utf8proc_int32_t state = 0;
  while (size < text.size()) {
    const Char next = decode(text.data() + size, end);
    if (utf8proc_grapheme_break_stateful(static_cast<std::int32_t>(previous.point),
                                         static_cast<std::int32_t>(next.point), &state))
      break;
    size += next.size;
    previous = next;
  }
  return size;
}

}  // namespace hearth::unicode
