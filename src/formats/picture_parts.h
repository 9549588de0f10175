// What the readers of pictures share.
#pragma once

#include "formats/picture.h"

namespace hearth {

// A picture of this size, black.  Errors: corrupt, exhausted (the limits of picture.h).
Result<Picture> sized_picture(std::int64_t width, std::int64_t height);

// rgba over white, rounded as the Python Imaging Library does.
void put_on_white(std::span<const std::uint8_t> rgba, std::span<std::uint8_t> rgb);

// Of a file of several the first.  Errors: unsupported (tiles, other than 8 bits, JPEG within it).
Result<Picture> read_tiff(std::span<const std::byte> bytes);

// Of an animation the first frame.
Result<Picture> read_webp(std::span<const std::byte> bytes);

}  // namespace hearth
