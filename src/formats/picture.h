// Pictures: PNG, JPEG, WebP, TIFF, BMP and PNM files as rows of RGB, as the Python Imaging Library
// gives them: upright, without regard to colour profiles, what is transparent on white.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

struct Picture {
  std::int64_t width = 0, height = 0;
  std::vector<std::uint8_t> rgb;  // [height, width, 3]
};

// What a file says of its size is believed up to here; memory is taken afterwards.
constexpr std::int64_t max_picture_points = 64'000'000;  // a telephone's camera, and some more
constexpr std::int64_t max_picture_edge = 32'768;
constexpr std::size_t max_picture_bytes = 64u << 20;  // of a file
constexpr int max_picture_passes = 128;               // over a progressive JPEG

// Errors: unsupported (another format, by name where it is known), corrupt, exhausted (a limit).
Result<Picture> read_picture(std::span<const std::byte> bytes);

// "image/png", by the first bytes; empty: none that is read.
std::string_view picture_type(std::span<const std::byte> bytes);

}  // namespace hearth
