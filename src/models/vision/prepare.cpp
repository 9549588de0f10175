// Pictures to tiles of pixels, as the image processors of Hugging Face transformers do it.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "models/vision/tower.h"

namespace hearth::models {
namespace {

constexpr double max_stretch = 200;  // the longer edge over the shorter; as Qwen2-VL's
constexpr std::int64_t most_split_edge = 4096;

struct Size {
  std::int64_t width = 0, height = 0;
};

// Half to even, as Python rounds.
std::int64_t rounded(double value) { return static_cast<std::int64_t>(std::nearbyint(value)); }
std::int64_t below(double value) { return static_cast<std::int64_t>(std::floor(value)); }
std::int64_t above(double value) { return static_cast<std::int64_t>(std::ceil(value)); }

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

// The longer edge to `longest`, the other even.  Source: Idefics 3.
Size long_edge_size(Size from, std::int64_t longest) {
  const double ratio = static_cast<double>(from.width) / static_cast<double>(from.height);
  Size to;
  if (from.width >= from.height) {
    to = {longest, static_cast<std::int64_t>(static_cast<double>(longest) / ratio)};
    to.height += to.height % 2;
  } else {
    to = {static_cast<std::int64_t>(static_cast<double>(longest) * ratio), longest};
    to.width += to.width % 2;
  }
  return {std::max<std::int64_t>(to.width, 1), std::max<std::int64_t>(to.height, 1)};
}

// The same where an edge would pass what is ever taken.
Size capped_size(Size from) {
  const double ratio = static_cast<double>(from.width) / static_cast<double>(from.height);
  if (from.width >= from.height && from.width > most_split_edge)
    return {most_split_edge,
            std::max<std::int64_t>(
                1, static_cast<std::int64_t>(static_cast<double>(most_split_edge) / ratio))};
  if (from.height > from.width && from.height > most_split_edge)
    return {std::max<std::int64_t>(
                1, static_cast<std::int64_t>(static_cast<double>(most_split_edge) * ratio)),
            most_split_edge};
  return from;
}

// Both edges to multiples of a tile.
Size tiled_size(Size from, std::int64_t tile) {
  const double ratio = static_cast<double>(from.width) / static_cast<double>(from.height);
  const auto whole = [&](std::int64_t edge) { return (edge + tile - 1) / tile * tile; };
  if (from.width >= from.height) {
    const std::int64_t width = whole(from.width);
    return {width, whole(static_cast<std::int64_t>(static_cast<double>(width) / ratio))};
  }
  const std::int64_t height = whole(from.height);
  return {whole(static_cast<std::int64_t>(static_cast<double>(height) * ratio)), height};
}

// Part of a picture as numbers of mean 0 and deviation 1.
PreparedPicture::Tile tile_of(const TowerHyper& hyper, const Picture& picture, std::int64_t left,
                              std::int64_t top, Size size) {
  PreparedPicture::Tile tile{
      static_cast<std::uint32_t>(size.width), static_cast<std::uint32_t>(size.height), {}};
  const auto points = static_cast<std::size_t>(size.width * size.height);
  tile.pixels.resize(3 * points);
  for (std::size_t c = 0; c < 3; ++c) {
    float values[256];
    for (int i = 0; i < 256; ++i)
      values[i] = (static_cast<float>(i * (1 / 255.0)) - hyper.mean[c]) / hyper.deviation[c];
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

PreparedPicture split(const TowerSpec& spec, const TowerHyper& hyper, const Picture& picture) {
  const std::int64_t edge = hyper.image_size;
  const Size square{edge, edge};
  const auto named = [](std::string_view name, const std::string& rows) {
    return fmt::format("<fake_token_around_image>{}{}", name, rows);
  };
  const std::size_t rows = (edge / hyper.block()) * (edge / hyper.block());
  const std::string tokens = repeated(spec.row_name, rows);
  PreparedPicture prepared;
  Picture sized = picture;
  Size size = capped_size(long_edge_size({picture.width, picture.height}, hyper.longest_edge));
  sized = resample(sized, size.width, size.height, hyper.filter);
  if (hyper.splits) {
    size = tiled_size(size, edge);
    sized = resample(sized, size.width, size.height, hyper.filter);
    if (size.width > edge || size.height > edge) {
      for (std::int64_t top = 0; top < size.height; top += edge) {
        for (std::int64_t left = 0; left < size.width; left += edge) {
          prepared.tiles.push_back(tile_of(hyper, sized, left, top, square));
          prepared.text +=
              named(fmt::format("<row_{}_col_{}>", top / edge + 1, left / edge + 1), tokens);
        }
        prepared.text += '\n';
      }
      prepared.text += '\n';
    }
  }
  sized = resample(sized, edge, edge, hyper.filter);
  prepared.tiles.push_back(tile_of(hyper, sized, 0, 0, square));
  prepared.text += named("<global-img>", tokens) + "<fake_token_around_image>";
  prepared.rows = rows * prepared.tiles.size();
  return prepared;
}

// The grid in which most of the picture's points are kept, and, of several, fewest stay unused.
// Source: LLaVA 1.6, select_best_resolution.
TowerHyper::Grid best_grid(const TowerHyper& hyper, Size from) {
  TowerHyper::Grid best = hyper.grids.front();
  std::int64_t most_kept = 0, least_unused = std::numeric_limits<std::int64_t>::max();
  for (const TowerHyper::Grid& grid : hyper.grids) {
    const std::int64_t width = std::int64_t{grid.columns} * hyper.image_size;
    const std::int64_t height = std::int64_t{grid.rows} * hyper.image_size;
    const double scale = std::min(static_cast<double>(width) / static_cast<double>(from.width),
                                  static_cast<double>(height) / static_cast<double>(from.height));
    const auto scaled = [&](std::int64_t edge) {
      return static_cast<std::int64_t>(static_cast<double>(edge) * scale);
    };
    const std::int64_t kept =
        std::min(scaled(from.width) * scaled(from.height), from.width * from.height);
    const std::int64_t unused = width * height - kept;
    if (kept < most_kept || (kept == most_kept && unused >= least_unused)) continue;
    best = grid;
    most_kept = kept;
    least_unused = unused;
  }
  return best;
}

// The picture as large as fits into `to`, black around it.
Picture fitted(const TowerHyper& hyper, const Picture& picture, Size to) {
  const double across = static_cast<double>(to.width) / static_cast<double>(picture.width);
  const double down = static_cast<double>(to.height) / static_cast<double>(picture.height);
  Size size = to;
  if (across < down)
    size.height = std::min(above(static_cast<double>(picture.height) * across), to.height);
  else
    size.width = std::min(above(static_cast<double>(picture.width) * down), to.width);
  const Picture sized = resample(picture, size.width, size.height, hyper.filter);
  Picture framed{to.width, to.height, {}};
  framed.rgb.resize(static_cast<std::size_t>(to.width * to.height * 3));
  const std::int64_t left = (to.width - size.width) / 2, top = (to.height - size.height) / 2;
  for (std::int64_t y = 0; y < size.height; ++y)
    std::copy_n(sized.rgb.begin() + y * size.width * 3, size.width * 3,
                framed.rgb.begin() + ((top + y) * to.width + left) * 3);
  return framed;
}

// So many lines of rows at the top and at the bottom, or columns at both sides, show black alone.
// Source: LLaVA 1.6, unpad_image.
struct Margins {
  std::int64_t lines = 0, columns = 0;
};
Margins margins_of(Size from, std::int64_t lines, std::int64_t columns) {
  const auto width = static_cast<double>(from.width), height = static_cast<double>(from.height);
  const auto wide = static_cast<double>(columns), high = static_cast<double>(lines);
  const auto whole_part = [](double value) {  // of what is nearly a whole number, that one
    return static_cast<std::int64_t>(std::nearbyint(value * 1e7) / 1e7);
  };
  if (width / height > wide / high)
    return {.lines = (lines - whole_part(height * (wide / width))) / 2};
  return {.columns = (columns - whole_part(width * (high / height))) / 2};
}

// The whole picture, then line by line the rows of a grid of tiles, less its margins.
PreparedPicture cut_by_grid(const TowerSpec& spec, const TowerHyper& hyper,
                            const Picture& picture) {
  const std::int64_t edge = hyper.image_size;
  const Size square{edge, edge}, from{picture.width, picture.height};
  const TowerHyper::Grid grid = best_grid(hyper, from);
  PreparedPicture prepared = whole(hyper, picture, square);
  const Picture framed = fitted(hyper, picture, {edge * grid.columns, edge * grid.rows});
  for (std::int64_t top = 0; top < framed.height; top += edge)
    for (std::int64_t left = 0; left < framed.width; left += edge)
      prepared.tiles.push_back(tile_of(hyper, framed, left, top, square));

  const std::uint32_t side = hyper.image_size / hyper.block(), each = side * side;
  for (std::uint32_t row = 0; row < each; ++row) prepared.order.push_back(row);
  const std::int64_t lines = std::int64_t{grid.rows} * side;
  const std::int64_t columns = std::int64_t{grid.columns} * side;
  const Margins margins = margins_of(from, lines, columns);
  for (std::int64_t y = margins.lines; y < lines - margins.lines; ++y) {
    for (std::int64_t x = margins.columns; x < columns - margins.columns; ++x) {
      const std::int64_t tile = 1 + y / side * grid.columns + x / side;
      prepared.order.push_back(
          static_cast<std::uint32_t>(tile * each + y % side * side + x % side));
    }
    prepared.order.push_back(PreparedPicture::line_end);
  }
  prepared.rows = prepared.order.size();
  prepared.text = repeated(spec.row_name, prepared.rows);
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
    case Sizing::split:
      return split(spec, hyper, picture);
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
