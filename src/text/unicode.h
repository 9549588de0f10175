// Properties of code points, and a decoder of UTF-8 that never fails.
// Source: Unicode Character Database 15.0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::unicode {

// General categories, in the order of the table.  A Class is a set of them, as bits, with three
// further bits for properties.
enum Category : std::uint8_t {
  Cn,
  Lu,
  Ll,
  Lt,
  Lm,
  Lo,
  Mn,
  Mc,
  Me,
  Nd,
  Nl,
  No,
  Pc,
  Pd,
  Ps,
  Pe,
  Pi,
  Pf,
  Po,
  Sm,
  Sc,
  Sk,
  So,
  Zs,
  Zl,
  Zp,
  Cc,
  Cf,
  Cs,
  Co
};  // clang-format keeps this list as it is

using Class = std::uint32_t;
constexpr Class bit(Category c) { return Class{1} << c; }
constexpr Class space = Class{1} << 30;    // White_Space
constexpr Class newline = Class{1} << 31;  // \r and \n
constexpr Class uppercase = bit(Lu) | bit(Lt), lowercase = bit(Ll);
constexpr Class letter = bit(Lu) | bit(Ll) | bit(Lt) | bit(Lm) | bit(Lo);
constexpr Class mark = bit(Mn) | bit(Mc) | bit(Me);
constexpr Class number = bit(Nd) | bit(Nl) | bit(No);
constexpr Class punctuation = bit(Pc) | bit(Pd) | bit(Ps) | bit(Pe) | bit(Pi) | bit(Pf) | bit(Po);
constexpr Class symbol = bit(Sm) | bit(Sc) | bit(Sk) | bit(So);

struct AsciiClasses {
  Class of[128];
};
extern const AsciiClasses ascii;
Class class_of(std::uint32_t point);  // any number; above U+10FFFF: Cn
bool is_han(std::uint32_t point);     // Script=Han

inline bool is_ascii_punctuation(std::uint32_t c) {
  return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) ||
         (c >= 0x7B && c <= 0x7E);
}

// One character: a byte that is no part of valid UTF-8 counts as U+FFFD of size 1.
struct Char {
  std::uint32_t point;
  std::uint32_t size;
};
Char decode_multibyte(const char* p, const char* end);
inline Char decode(const char* p, const char* end) {  // p < end
  const auto c = static_cast<unsigned char>(*p);
  if (c < 0x80) return {c, 1};
  return decode_multibyte(p, end);
}
// The character that ends at `p`, which is after `begin`.
Char decode_before(const char* begin, const char* p);

struct Classified {
  Class is;
  std::uint32_t size;
};
inline Classified classify(const char* p, const char* end) {
  const auto c = static_cast<unsigned char>(*p);
  if (c < 0x80) return {ascii.of[c], 1};
  const Char decoded = decode_multibyte(p, end);
  return {class_of(decoded.point), decoded.size};
}

// Simple case mapping, and U+0130 in full ("i" and U+0307), as Rust's char::to_lowercase.
void append_lowercase(std::string& out, std::uint32_t point);

enum class Form { nfc, nfd, nfkc, nfkd };
// `text` is valid UTF-8.
std::string normalize(std::string_view text, Form form);

// Bytes of the extended grapheme cluster at the start of valid, non-empty UTF-8.
std::size_t grapheme_size(std::string_view text);

}  // namespace hearth::unicode
