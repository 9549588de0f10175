// For tests: bytes that remember where their integers and texts are, and everything that can be
// done to them.  The names GEN-n are those of the catalogue of bad inputs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::testing {

// Little-endian; every number and text written is remembered as a field.
class Bytes {
 public:
  struct Field {
    std::size_t offset, size;
  };

  Bytes& raw(std::string_view bytes);
  Bytes& u8(std::uint64_t value) { return number(value, 1); }
  Bytes& u32(std::uint64_t value) { return number(value, 4); }
  Bytes& u64(std::uint64_t value) { return number(value, 8); }
  Bytes& text(std::string_view value);    // u64 length, bytes
  Bytes& text32(std::string_view value);  // u32 length, bytes
  Bytes& align(std::size_t alignment);

  const std::string& str() const { return bytes_; }
  const std::vector<Field>& numbers() const { return numbers_; }
  const std::vector<Field>& texts() const { return texts_; }  // without their lengths

 private:
  Bytes& number(std::uint64_t value, std::size_t size);

  std::string bytes_;
  std::vector<Field> numbers_, texts_;
};

// Called with what was done and what came of it.
using Try = std::function<void(const std::string& what, const std::string& bytes)>;

void truncate_everywhere(const Bytes& file, const Try& attempt);                // GEN-1
void flip_every_bit(const Bytes& file, std::size_t bytes, const Try& attempt);  // GEN-2
void change_every_number(const Bytes& file, const Try& attempt);                // GEN-3
void change_pairs_of_numbers(const Bytes& file, const Try& attempt);            // GEN-4
void append_and_prepend(const Bytes& file, const Try& attempt);                 // GEN-6
// Texts with a u64 length before them.
void change_every_text(const Bytes& file, const Try& attempt);  // GEN-7

// What no message may hold.
bool has_control_characters(std::string_view message);

}  // namespace hearth::testing
