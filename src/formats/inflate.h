// What deflate has made smaller.
// Source: RFC 1950, RFC 1951.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace hearth {

enum class Deflated {
  zlib,  // with zlib's header and checksum
  raw,   // the stream alone, as ZIP archives hold it
};

// Errors: corrupt (cut short, damaged), exhausted (more than `most_bytes`).
Result<std::vector<std::byte>> inflated(std::span<const std::byte> bytes, Deflated form,
                                        std::uint64_t most_bytes);

}  // namespace hearth
