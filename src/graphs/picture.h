// Pictures made smaller or larger for the inputs of graphs.
#pragma once

#include "formats/picture.h"

namespace hearth::graphs {

// Bilinear, half-pixel centres; averages where it shrinks.
Result<Picture> resized(const Picture& picture, std::int64_t width, std::int64_t height);

}  // namespace hearth::graphs
