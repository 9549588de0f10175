// Protobuf's wire format, read without a schema.
// Source: Protocol Buffers documentation, "Encoding".
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace hearth {

// One field as it is written.  bytes: of a length-delimited field; it points into the message.
struct WireField {
  std::uint32_t number = 0;
  std::uint8_t type = 0;    // 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes
  std::uint64_t value = 0;  // of the numeric ones, as bits
  std::span<const std::byte> bytes;

  std::string_view text() const { return text_of(bytes); }
  std::int64_t integer() const { return static_cast<std::int64_t>(value); }
  float real() const;  // of a four-byte field
};

// A number of 7 bits a byte, the low ones first.  Errors: corrupt (over 64 bits, cut short).
Result<std::uint64_t> read_varint(ByteReader& in);

// The fields of one message in the order they are written.
class WireMessage {
 public:
  explicit WireMessage(std::span<const std::byte> bytes) : reader_(bytes) {}
  // false: no more.  Errors: corrupt (cut short, a group, a number 0).
  Result<bool> next(WireField& field);

 private:
  ByteReader reader_;
};

// Appends the numbers of a repeated field, packed or one at a time.
Status append_varints(std::vector<std::int64_t>& to, const WireField& field);
Status append_floats(std::vector<float>& to, const WireField& field);
Status append_doubles(std::vector<double>& to, const WireField& field);

}  // namespace hearth
