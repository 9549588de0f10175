// Pictures to tiles of pixels, as the image processors of Hugging Face transformers do it.
#include <fmt/core.h>

#include <algorithm>

#include "base/half.h"
#include "models/vision/prepare_parts.h"

namespace hearth::models {
namespace {

constexpr double max_stretch = 200;  // the longer edge over the shorter; as Qwen2-VL's

// Half to even, as Python rounds.
std::int64_t rounded(double value) { return static_cast<std::int64_t>(std::nearbyint(value)); }

// Whole blocks, of about as many points as there are, within limits.
// Source: Qwen2-VL, smart_resize.
Size smart_size(const TowerHyper& hyper, Size from) {
  const auto block = static_cast<double>(hyper.block());
  const auto width = static_cast<double>(from.width), height = static_cast<double>(from.height);
  const auto most = static_cast<double>(hyper.max_pixels);
  const auto least = static_cast<double>(hyper.min_pixels);
  const auto edge = static_cast<std::int64_t>(hyper.block());
  Size to{rounded(width / block) * edge, rounded(height / block) * edge};
  const double points = static_cast<double>(to.width) * static_cast<double>(to.height);
  if (points > most) {
    const double shrink = std::sqrt(height * width / most);
    to = {std::max(edge, below(width / shrink / block) * edge),
          std::max(edge, below(height / shrink / block) * edge)};
  } else if (points < least) {
    const double grow = std::sqrt(least / (height * width));
    to = {above(width * grow / block) * edge, above(height * grow / block) * edge};
  }
  return to;
}

// Whole blocks, neither edge over the longest.  Source: Pixtral.
Size bounded_size(const TowerHyper& hyper, Size from) {
  const auto longest = static_cast<double>(hyper.longest_edge);
  const double ratio = std::max(static_cast<double>(from.height) / longest,
                                static_cast<double>(from.width) / longest);
  if (ratio > 1)
    from = {below(static_cast<double>(from.width) / ratio),
            below(static_cast<double>(from.height) / ratio)};
  const auto edge = static_cast<std::int64_t>(hyper.block());
  return {std::max<std::int64_t>(1, (from.width - 1) / edge + 1) * edge,
          std::max<std::int64_t>(1, (from.height - 1) / edge + 1) * edge};
}

// Whole blocks of at most so many patches, as many as fit.  Source: Gemma 4.
Size budget_size(const TowerHyper& hyper, Size from) {
  const auto width = static_cast<double>(from.width), height = static_cast<double>(from.height);
  const auto edge = static_cast<std::int64_t>(hyper.block());
  const auto block = static_cast<double>(edge);
  const double points = hyper.max_rows * block * block;
  const double scale = std::sqrt(points / (width * height));
  const Size to{below(width * scale / block), below(height * scale / block)};
  const auto most = std::int64_t{hyper.max_rows};
  if (to.height == 0)
    return {std::clamp<std::int64_t>(from.width / from.height, 1, most) * edge, edge};
  if (to.width == 0)
    return {edge, std::clamp<std::int64_t>(from.height / from.width, 1, most) * edge};
  return {to.width * edge, to.height * edge};
}

PreparedPicture cropped(const TowerHyper& hyper, const Picture& picture) {
  const std::int64_t edge = hyper.image_size;
  const bool is_wide = picture.width >= picture.height;
  const std::int64_t longer = std::max(picture.width, picture.height);
  const std::int64_t shorter = std::min(picture.width, picture.height);
  const std::int64_t scaled = edge * longer / shorter;
  const Picture sized = is_wide ? resample(picture, scaled, edge, hyper.filter)
                                : resample(picture, edge, scaled, hyper.filter);
  PreparedPicture prepared;
  prepared.tiles.push_back(
      tile_of(hyper, sized, (sized.width - edge) / 2, (sized.height - edge) / 2, {edge, edge}));
  prepared.rows = rows_of(hyper, prepared.tiles.front());
  return prepared;
}

// Rows line by line, each line closed by a mark.
std::string lines_of(const TowerSpec& spec, std::size_t height, std::size_t width) {
  std::string text;
  for (std::size_t y = 0; y < height; ++y) {
    text += repeated(spec.row_name, width);
    text += y + 1 < height ? "[IMG_BREAK]" : "[IMG_END]";
  }
  return text;
}

}  // namespace

namespace {

// A byte of a colour as the tower takes it.
float colour_of(const TowerHyper& hyper, int byte, std::size_t c) {
  const float share = static_cast<float>(byte * (1 / 255.0));
  if (!hyper.rounded_colours) return (share - hyper.mean[c]) / hyper.deviation[c];
  const auto kept = [](float value) { return bf16_to_f32(f32_to_bf16(value)); };
  return kept(kept(kept(share) - hyper.mean[c]) / hyper.deviation[c]);
}

}  // namespace

PreparedPicture::Tile tile_of(const TowerHyper& hyper, const Picture& picture, std::int64_t left,
                              std::int64_t top, Size size) {
  PreparedPicture::Tile tile{
      static_cast<std::uint32_t>(size.width), static_cast<std::uint32_t>(size.height), {}};
  const auto points = static_cast<std::size_t>(size.width * size.height);
  tile.pixels.resize(3 * points);
  for (std::size_t c = 0; c < 3; ++c) {
    float values[256];
    for (int i = 0; i < 256; ++i) values[i] = colour_of(hyper, i, c);
    float* out = tile.pixels.data() + c * points;
    for (std::int64_t y = top; y < top + size.height; ++y)
      for (std::int64_t x = left; x < left + size.width; ++x)
        *out++ = values[picture.rgb[static_cast<std::size_t>((y * picture.width + x) * 3) + c]];
  }
  return tile;
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  all.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

PreparedPicture whole(const TowerHyper& hyper, const Picture& picture, Size size) {
  PreparedPicture prepared;
  prepared.tiles.push_back(
      tile_of(hyper, resample(picture, size.width, size.height, hyper.filter), 0, 0, size));
  prepared.rows = rows_of(hyper, prepared.tiles.front());
  return prepared;
}

std::size_t rows_of(const TowerHyper& hyper, const PreparedPicture::Tile& tile) {
  return std::size_t{tile.width / hyper.block()} * (tile.height / hyper.block());
}

Result<PreparedPicture> prepare_picture(const TowerSpec& spec, const TowerHyper& hyper,
                                        const Picture& picture) {
  const Size from{picture.width, picture.height};
  const auto longer = static_cast<double>(std::max(from.width, from.height));
  const auto shorter = static_cast<double>(std::min(from.width, from.height));
  if (longer > max_stretch * shorter)
    return Error(ErrorKind::invalid,
                 fmt::format("a picture of {} by {}: needs the longer edge to be at most {} times "
                             "the shorter",
                             from.width, from.height, max_stretch));
  PreparedPicture prepared;
  switch (spec.sizing) {
    case Sizing::square:
      prepared = whole(hyper, picture, {hyper.image_size, hyper.image_size});
      break;
    case Sizing::crop:
      prepared = cropped(hyper, picture);
      break;
    case Sizing::smart:
      prepared = whole(hyper, picture, smart_size(hyper, from));
      break;
    case Sizing::bounded:
      prepared = whole(hyper, picture, bounded_size(hyper, from));
      break;
    case Sizing::budget:
      prepared = whole(hyper, picture, budget_size(hyper, from));
      break;
    case Sizing::split:
      return split(spec, hyper, picture);
    case Sizing::shapes:
      return cut_by_shape(spec, hyper, picture);
    case Sizing::canvases:
      return cut_by_canvas(spec, hyper, picture);
    case Sizing::grids:
      return cut_by_grid(spec, hyper, picture);
  }
  const PreparedPicture::Tile& tile = prepared.tiles.front();
  prepared.grid_height = tile.height / hyper.block();
  prepared.grid_width = tile.width / hyper.block();
  const std::string rows = repeated(spec.row_name, prepared.rows);
  if (spec.sizing == Sizing::bounded)
    prepared.text = lines_of(spec, prepared.grid_height, prepared.grid_width);
  else
    prepared.text = fmt::format("{}{}{}", spec.rows_before, rows, spec.rows_after);
  return prepared;
}

}  // namespace hearth::models
