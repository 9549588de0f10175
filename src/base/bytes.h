// Reading bytes that nobody vouches for: every length is checked against what is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace hearth {

// a * b and a + b, or an error that says "overflows".
Result<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b);
Result<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b);

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A cursor over little-endian bytes.  A read past the end is an error that names the offset; the
// cursor then stays where it was.  Views it returns point into the bytes it was given.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::size_t position() const { return position_; }
  std::size_t remaining() const { return bytes_.size() - position_; }

  // One number, little-endian, at any alignment.
  template <typename T>
  Result<T> value() {
    static_assert(std::is_arithmetic_v<T>);
    const auto raw = take(sizeof(T));
    if (!raw) return raw.error();
    T result;
    std::memcpy(&result, raw->data(), sizeof result);
    return result;
  }

  // The next `size` bytes.
  Result<std::span<const std::byte>> take(std::uint64_t size);

  // A u64 length, refused above `max_bytes`, and that many bytes as text (not checked as UTF-8).
  Result<std::string_view> text(std::uint64_t max_bytes);

  // Refuses a count whose records, each of at least `min_record_bytes`, cannot fit what is left.
  Status expect_records(std::uint64_t count, std::uint64_t min_record_bytes);

  Status skip(std::uint64_t size);

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

}  // namespace hearth
