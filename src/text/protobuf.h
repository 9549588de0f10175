// The wire format of protocol buffers, one message at a time; nothing is copied.
// Source: protobuf.dev, "Encoding".
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"

namespace hearth {

struct ProtoField {
  std::uint32_t number = 0;
  std::uint32_t wire = 0;            // 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes
  std::uint64_t value = 0;           // of wire types 0, 1 and 5, zero-extended
  std::span<const std::byte> bytes;  // of wire type 2
};

class ProtoReader {
 public:
  explicit ProtoReader(std::span<const std::byte> message) : in_(message) {}
  // Nothing at the end.  Errors: corrupt, for what is cut short, too long, or a group.
  Result<std::optional<ProtoField>> next();

 private:
  Result<std::uint64_t> varint();
  ByteReader in_;
};

}  // namespace hearth
