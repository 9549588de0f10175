// Pictures: PNG, JPEG, BMP and PNM files as rows of RGB.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace hearth::graphs {

struct Picture {
  std::int64_t width = 0, height = 0;
  std::vector<std::uint8_t> rgb;  // [height, width, 3]
};

// Errors: unsupported (another format), corrupt, exhausted (over 2^28 points).
Result<Picture> read_picture(std::span<const std::byte> bytes);
// Bilinear, half-pixel centres; averages where it shrinks.
Result<Picture> resized(const Picture& picture, std::int64_t width, std::int64_t height);

}  // namespace hearth::graphs
