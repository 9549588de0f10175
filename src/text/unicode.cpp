#include "text/unicode.h"

#include <algorithm>
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

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

constinit const AsciiClasses ascii = make_ascii();

Class class_of(std::uint32_t point) { return make_class(point); }

bool is_han(std::uint32_t point) { return (flags_of(point) & han_flag) != 0; }

Char decode_multibyte(const char* p, const char* end) {
  const Decoded d =
      decode_utf8({p, static_cast<std::size_t>(std::min<std::ptrdiff_t>(4, end - p))});
  return d.valid ? Char{d.point, d.size} : Char{0xFFFD, 1};
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
  if (is_ascii(text)) return std::string(text);
  const utf8proc_option_t options = options_of(form);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = static_cast<utf8proc_ssize_t>(text.size());
  std::vector<utf8proc_int32_t> points(text.size() + 1);
  utf8proc_ssize_t count = utf8proc_decompose(bytes, size, points.data(),
                                              static_cast<utf8proc_ssize_t>(text.size()), options);
  if (count > static_cast<utf8proc_ssize_t>(text.size())) {
    points.resize(static_cast<std::size_t>(count) + 1);
    count = utf8proc_decompose(bytes, size, points.data(), count, options);
  }
  HEARTH_CHECK(count >= 0);
  count = utf8proc_normalize_utf32(points.data(), count, options);
  HEARTH_CHECK(count >= 0);
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (utf8proc_ssize_t i = 0; i < count; ++i)
    append_utf8(out, static_cast<std::uint32_t>(points[static_cast<std::size_t>(i)]));
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
