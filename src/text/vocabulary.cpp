#include "text/vocabulary.h"

#include <array>
#include <string>

#include "base/utf8.h"
#include "text/unicode.h"

namespace hearth {
namespace {

// Printable bytes stand for themselves; the others, in order, for U+0100 and on.
struct ByteAlphabet {
  std::array<std::uint16_t, 256> point{};
  std::array<std::int16_t, 0x144> byte{};
};

constexpr ByteAlphabet make_alphabet() {
  ByteAlphabet alphabet;
  for (auto& byte : alphabet.byte) byte = -1;
  std::uint16_t next = 0x100;
  for (std::uint16_t b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xFF && b != 0xAD);
    alphabet.point[b] = printable ? b : next++;
    alphabet.byte[alphabet.point[b]] = static_cast<std::int16_t>(b);
  }
  return alphabet;
}
constexpr ByteAlphabet alphabet = make_alphabet();

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

void Vocabulary::add(std::string_view name, TokenKind kind) {
  if (!name.empty()) ids_.insert(name, static_cast<Token>(kinds_.size()));
  names_.add(name);
  kinds_.push_back(kind);
}

std::uint32_t byte_to_point(unsigned char byte) { return alphabet.point[byte]; }

int point_to_byte(std::uint32_t point) {
  return point < alphabet.byte.size() ? alphabet.byte[point] : -1;
}

bool decode_byte_name(std::string_view name, std::string& bytes) {
  bytes.clear();
  const char* const end = name.data() + name.size();
  for (const char* p = name.data(); p < end;) {
    const unicode::Char c = unicode::decode(p, end);
    const int byte = point_to_byte(c.point);
    if (byte < 0) return false;
    bytes += static_cast<char>(byte);
    p += c.size;
  }
  return true;
}

void append_byte_name(std::string& name, std::string_view bytes) {
  for (const char c : bytes) append_utf8(name, byte_to_point(static_cast<unsigned char>(c)));
}

int byte_of_name(std::string_view name) {
  if (name.size() != 6 || !name.starts_with("<0x") || name[5] != '>') return -1;
  const int high = hex_digit(name[3]), low = hex_digit(name[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (std::size_t at = 0;;) {
    const std::size_t hit = from.empty() ? std::string_view::npos : text.find(from, at);
    out += text.substr(at, hit - at);
    if (hit == std::string_view::npos) return out;
    out += to;
    at = hit + from.size();
  }
}

}  // namespace hearth
