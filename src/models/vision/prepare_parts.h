// What the ways to prepare a picture share.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "models/vision/tower.h"

namespace hearth::models {

struct Size {
  std::int64_t width = 0, height = 0;
};

inline std::int64_t below(double value) { return static_cast<std::int64_t>(std::floor(value)); }
inline std::int64_t above(double value) { return static_cast<std::int64_t>(std::ceil(value)); }

// Part of a picture as numbers of mean 0 and deviation 1.
PreparedPicture::Tile tile_of(const TowerHyper& hyper, const Picture& picture, std::int64_t left,
                              std::int64_t top, Size size);
std::string repeated(std::string_view text, std::size_t times);
// One tile of that size, of the whole picture.
PreparedPicture whole(const TowerHyper& hyper, const Picture& picture, Size size);

// Several tiles; prepare_tiles.cpp.
PreparedPicture split(const TowerSpec& spec, const TowerHyper& hyper, const Picture& picture);
PreparedPicture cut_by_shape(const TowerSpec& spec, const TowerHyper& hyper,
                             const Picture& picture);
PreparedPicture cut_by_canvas(const TowerSpec& spec, const TowerHyper& hyper,
                              const Picture& picture);
PreparedPicture cut_by_grid(const TowerSpec& spec, const TowerHyper& hyper, const Picture& picture);

}  // namespace hearth::models
