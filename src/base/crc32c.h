// CRC-32C, the checksum of the files that Hearth writes for itself.  Source: RFC 3720, appendix
// B.4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hearth {

// The checksum of `bytes`, or of all that `before` is the checksum of and `bytes` behind it.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0);
// The same without the processor's instruction for it.
std::uint32_t crc32c_by_tables(std::span<const std::byte> bytes, std::uint32_t before = 0);

}  // namespace hearth
