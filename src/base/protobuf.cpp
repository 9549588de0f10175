#include "base/protobuf.h"

#include <fmt/core.h>

#include <bit>

namespace hearth {

float WireField::real() const { return std::bit_cast<float>(static_cast<std::uint32_t>(value)); }

Result<std::uint64_t> read_varint(ByteReader& in) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    const auto byte = TRY(in.value<std::uint8_t>());
    if (shift == 63 && byte > 1) break;
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return Error(ErrorKind::corrupt, fmt::format("a number of over 64 bits at {}", in.position()));
}

Result<bool> WireMessage::next(WireField& field) {
  if (reader_.remaining() == 0) return false;
  const std::size_t at = reader_.position();
  const std::uint64_t key = TRY(read_varint(reader_));
  field = WireField();
  field.number = static_cast<std::uint32_t>(key >> 3);
  field.type = static_cast<std::uint8_t>(key & 7);
  if (key >> 3 == 0 || key >> 3 > 0x1FFFFFFF)
    return Error(ErrorKind::corrupt, fmt::format("field {} at {}", key >> 3, at));
  switch (field.type) {
    case 0:
      field.value = TRY(read_varint(reader_));
      return true;
    case 1:
      field.value = TRY(reader_.value<std::uint64_t>());
      return true;
    case 2: {
      const std::uint64_t size = TRY(read_varint(reader_));
      field.bytes = TRY(reader_.take(size));
      return true;
    }
    case 5:
      field.value = TRY(reader_.value<std::uint32_t>());
      return true;
    default:
      return Error(ErrorKind::corrupt, fmt::format("wire type {} at {}", field.type, at));
  }
}

Status append_varints(std::vector<std::int64_t>& to, const WireField& field) {
  if (field.type == 0) {
    to.push_back(field.integer());
    return Done{};
  }
  if (field.type != 2)
    return Error(ErrorKind::corrupt, fmt::format("field {}: needs whole numbers", field.number));
  for (ByteReader packed(field.bytes); packed.remaining() > 0;)
    to.push_back(static_cast<std::int64_t>(TRY(read_varint(packed))));
  return Done{};
}

namespace {

template <typename T>
Status append(std::vector<T>& to, const WireField& field, std::uint8_t single) {
  if (field.type == single) {
    T value;
    std::memcpy(&value, &field.value, sizeof value);
    to.push_back(value);
    return Done{};
  }
  if (field.type != 2 || field.bytes.size() % sizeof(T) != 0)
    return Error(ErrorKind::corrupt,
                 fmt::format("field {}: needs numbers of {} bytes", field.number, sizeof(T)));
  const std::size_t old = to.size();
  to.resize(old + field.bytes.size() / sizeof(T));
  if (!field.bytes.empty()) std::memcpy(to.data() + old, field.bytes.data(), field.bytes.size());
  return Done{};
}

}  // namespace

Status append_floats(std::vector<float>& to, const WireField& field) {
  return append(to, field, 5);
}
Status append_doubles(std::vector<double>& to, const WireField& field) {
  return append(to, field, 1);
}

}  // namespace hearth
