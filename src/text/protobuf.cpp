#include "text/protobuf.h"

#include <fmt/core.h>

namespace hearth {

Result<std::uint64_t> ProtoReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    const auto byte = TRY(in_.value<std::uint8_t>());
    if (shift == 63 && byte > 1) break;
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return Error(ErrorKind::corrupt, fmt::format("a varint past 64 bits before {}", in_.position()));
}

Result<std::optional<ProtoField>> ProtoReader::next() {
  if (in_.remaining() == 0) return std::optional<ProtoField>();
  const std::uint64_t tag = TRY(varint());
  ProtoField field;
  field.wire = tag & 7;
  if (tag >> 3 == 0 || tag >> 3 >= 1u << 29)
    return Error(ErrorKind::corrupt, fmt::format("field number {}", tag >> 3));
  field.number = static_cast<std::uint32_t>(tag >> 3);
  switch (field.wire) {
    case 0:
      field.value = TRY(varint());
      break;
    case 1:
      field.value = TRY(in_.value<std::uint64_t>());
      break;
    case 2: {
      const std::uint64_t size = TRY(varint());
      field.bytes = TRY(in_.take(size));
      break;
    }
    case 5:
      field.value = TRY(in_.value<std::uint32_t>());
      break;
    default:
      return Error(ErrorKind::corrupt,
                   fmt::format("field {}: wire type {}", field.number, field.wire));
  }
  return std::optional(field);
}

}  // namespace hearth
