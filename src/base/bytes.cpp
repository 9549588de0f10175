#include "base/bytes.h"

#include <fmt/core.h>

namespace hearth {

Result<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product;
  if (__builtin_mul_overflow(a, b, &product))
    return Error(ErrorKind::corrupt, fmt::format("{} * {} overflows", a, b));
  return product;
}

Result<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum;
  if (__builtin_add_overflow(a, b, &sum))
    return Error(ErrorKind::corrupt, fmt::format("{} + {} overflows", a, b));
  return sum;
}

Result<std::span<const std::byte>> ByteReader::take(std::uint64_t size) {
  if (size > remaining())
    return Error(ErrorKind::corrupt,
                 fmt::format("offset {}: needs {} bytes, {} left", position_, size, remaining()));
  const auto taken = bytes_.subspan(position_, static_cast<std::size_t>(size));
  position_ += static_cast<std::size_t>(size);
  return taken;
}

Result<std::string_view> ByteReader::text(std::uint64_t max_bytes) {
  const std::size_t start = position_;
  const auto size = value<std::uint64_t>();
  if (!size) return size.error();
  if (*size > max_bytes) {
    position_ = start;
    return Error(ErrorKind::corrupt,
                 fmt::format("offset {}: text of {} bytes, at most {}", start, *size, max_bytes));
  }
  const auto raw = take(*size);
  if (!raw) {
    position_ = start;
    return raw.error();
  }
  return text_of(*raw);
}

Status ByteReader::expect_records(std::uint64_t count, std::uint64_t min_record_bytes) {
  if (count > remaining() / min_record_bytes)
    return Error(ErrorKind::corrupt,
                 fmt::format("offset {}: {} records of {} bytes or more, {} left", position_, count,
                             min_record_bytes, remaining()));
  return Done{};
}

Status ByteReader::skip(std::uint64_t size) {
  TRY(take(size));
  return Done{};
}

}  // namespace hearth
