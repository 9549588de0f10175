// Resizing as the Python Imaging Library does it, to the last bit: what image processors of Hugging
// Face transformers are built on.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "formats/picture.h"

namespace hearth::models {

enum class Filter : std::uint8_t {
  bilinear,
  bicubic,
  lanczos,
  bilinear16  // PyTorch's: the same with weights of 16 bits, always across first
};

// Across and then down, each rounded to bytes, and the other way round where a picture grows wider
// and less high (so Pillow since version 13); an edge that keeps its length is left as it is.
// Weights are whole numbers of 22 bits.
// width, height: 1 to max_picture_edge.
Picture resample(const Picture& picture, std::int64_t width, std::int64_t height, Filter filter);

}  // namespace hearth::models
