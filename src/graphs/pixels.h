// How the bytes of a picture become the numbers that a graph takes.
#pragma once

#include <array>
#include <string_view>

#include "base/result.h"

namespace hearth::graphs {

// (value - mean) / deviation, by channel; value: 0..255.
struct Pixels {
  std::array<float, 3> mean{0, 0, 0}, deviation{1, 1, 1};
};
constexpr Pixels raw_pixels{}, unit_pixels{{0, 0, 0}, {255, 255, 255}},
    signed_pixels{{127.5f, 127.5f, 127.5f}, {127.5f, 127.5f, 127.5f}},
    imagenet_pixels{{123.675f, 116.28f, 103.53f}, {58.395f, 57.12f, 57.375f}};

// raw, unit (0..1), signed (-1..1), imagenet (by its mean and deviation).  Errors: invalid.
Result<Pixels> pixels_named(std::string_view name);

}  // namespace hearth::graphs
