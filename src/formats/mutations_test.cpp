#include "formats/mutations.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

namespace hearth::testing {
namespace {

std::string number_text(std::uint64_t value, std::size_t size) {
  return std::string(reinterpret_cast<const char*>(&value), size);
}

std::uint64_t number_at(const std::string& bytes, Bytes::Field field) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + field.offset, field.size);
  return value;
}

std::string with(const Bytes& file, Bytes::Field field, std::uint64_t value) {
  std::string bytes = file.str();
  return bytes.replace(field.offset, field.size, number_text(value, field.size));
}

}  // namespace

Bytes& Bytes::raw(std::string_view bytes) {
  bytes_ += bytes;
  return *this;
}

Bytes& Bytes::number(std::uint64_t value, std::size_t size) {
  numbers_.push_back({bytes_.size(), size});
  bytes_ += number_text(value, size);
  return *this;
}

Bytes& Bytes::text(std::string_view value) {
  u64(value.size());
  texts_.push_back({bytes_.size(), value.size()});
  return raw(value);
}

Bytes& Bytes::text32(std::string_view value) {
  u32(value.size());
  return raw(value);
}

Bytes& Bytes::align(std::size_t alignment) {
  bytes_.append((alignment - bytes_.size() % alignment) % alignment, '\0');
  return *this;
}

void truncate_everywhere(const Bytes& file, const Try& attempt) {
  for (std::size_t size = 0; size < file.str().size(); ++size)
    attempt(fmt::format("cut to {}", size), file.str().substr(0, size));
}

void flip_every_bit(const Bytes& file, std::size_t bytes, const Try& attempt) {
  std::string changed = file.str();
  for (std::size_t bit = 0; bit < 8 * std::min(bytes, changed.size()); ++bit) {
    const char kept = changed[bit / 8];
    changed[bit / 8] = static_cast<char>(kept ^ (1 << (bit % 8)));
    attempt(fmt::format("bit {} flipped", bit), changed);
    changed[bit / 8] = kept;
  }
}

void change_every_number(const Bytes& file, const Try& attempt) {
  for (const Bytes::Field field : file.numbers()) {
    const std::uint64_t now = number_at(file.str(), field);
    const std::uint64_t values[] = {0,          1,          2,          now - 1,    now + 1,
                                    1ull << 7,  0xFF,       1ull << 15, 0xFFFF,     0x7FFFFFFF,
                                    1ull << 31, 0xFFFFFFFF, 1ull << 32, 1ull << 53, 1ull << 62,
                                    ~0ull >> 1, 1ull << 63, ~0ull};
    for (const std::uint64_t value : values)
      attempt(fmt::format("number at {} becomes {}", field.offset, value),
              with(file, field, value));
  }
}

void change_pairs_of_numbers(const Bytes& file, const Try& attempt) {
  constexpr std::uint64_t values[] = {1ull << 16, 1ull << 31, 1ull << 32, 1ull << 33};
  for (std::size_t i = 0; i < file.numbers().size(); ++i)
    for (std::size_t k = i + 1; k < file.numbers().size(); ++k)
      for (const std::uint64_t first : values)
        for (const std::uint64_t second : values) {
          const Bytes::Field a = file.numbers()[i], b = file.numbers()[k];
          std::string bytes = with(file, a, first);
          bytes.replace(b.offset, b.size, number_text(second, b.size));
          attempt(fmt::format("numbers at {}, {} become {}, {}", a.offset, b.offset, first, second),
                  bytes);
        }
}

void append_and_prepend(const Bytes& file, const Try& attempt) {
  for (const std::size_t size : {1u, 7u, 4096u})
    attempt(fmt::format("{} bytes appended", size), file.str() + std::string(size, 'x'));
  for (const char* before : {"\xEF\xBB\xBF", "PK\x03\x04", "%PDF-1.7\n",
                             "\x7f"
                             "ELF"})
    attempt("a header of another format before", before + file.str());
}

void change_every_text(const Bytes& file, const Try& attempt) {
  using namespace std::string_literals;
  const std::string texts[] = {
      "",     "a\0b"s, "\xFF",     "\xC0\xAF", "\xED\xA0\x80",         "\xE2\x80\xAE",
      "../x", "%s%n",  "\r\nX: y", "\x1b[2J",  std::string(65536, 'x')};
  for (const Bytes::Field field : file.texts())
    for (const std::string& text : texts) {
      std::string bytes = file.str();
      bytes.replace(field.offset, field.size, text);
      bytes.replace(field.offset - 8, 8, number_text(text.size(), 8));
      attempt(fmt::format("text at {} becomes {} bytes", field.offset, text.size()), bytes);
    }
}

bool has_control_characters(std::string_view message) {
  return std::any_of(message.begin(), message.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

}  // namespace hearth::testing
