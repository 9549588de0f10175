// Pictures that become several tiles, as the image processors of Hugging Face transformers cut
// them.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "models/vision/prepare_parts.h"

namespace hearth::models {
namespace {

constexpr std::int64_t most_split_edge = 4096;

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

// The grid whose shape is nearest to the picture's; of equal ones the last that the picture has
// half as many points as.  Source: InternVL 1.5, dynamic_preprocess.
TowerHyper::Grid nearest_grid(const TowerHyper& hyper, Size from) {
  const double shape = static_cast<double>(from.width) / static_cast<double>(from.height);
  const double points = static_cast<double>(from.width) * static_cast<double>(from.height);
  const double tile = static_cast<double>(hyper.image_size) * hyper.image_size;
  TowerHyper::Grid best{1, 1};
  double least = std::numeric_limits<double>::infinity();
  for (std::uint32_t tiles = hyper.min_tiles; tiles <= hyper.max_tiles; ++tiles)
    for (std::uint32_t columns = 1; columns <= tiles; ++columns) {
      if (tiles % columns != 0) continue;
      const TowerHyper::Grid grid{tiles / columns, columns};
      const double off = std::abs(shape - static_cast<double>(grid.columns) / grid.rows);
      if (off < least || (off == least && points > 0.5 * tile * tiles)) best = grid;
      least = std::min(least, off);
    }
  return best;
}

// The grid that makes the picture no smaller and least larger, or else least smaller; of equal ones
// that of fewest tiles.  Source: Llama 4, get_best_fit.
TowerHyper::Grid fitting_grid(const TowerHyper& hyper, Size from) {
  const auto edge = static_cast<float>(hyper.image_size);
  TowerHyper::Grid best{1, 1};
  float best_scale = 0;
  std::uint32_t best_tiles = 0;
  for (std::uint32_t tiles = hyper.max_tiles; tiles > 0; --tiles)
    for (std::uint32_t rows = 1; rows <= tiles; ++rows) {
      if (tiles % rows != 0) continue;
      const std::uint32_t columns = tiles / rows;
      const float scale =
          std::min(edge * static_cast<float>(rows) / static_cast<float>(from.height),
                   edge * static_cast<float>(columns) / static_cast<float>(from.width));
      const bool grows = scale >= 1, best_grows = best_scale >= 1;
      const bool better = grows != best_grows ? grows
                          : grows             ? scale < best_scale
                                              : scale > best_scale;
      if (best_tiles > 0 && !better && (scale != best_scale || tiles >= best_tiles)) continue;
      best = {rows, columns};
      best_scale = scale;
      best_tiles = tiles;
    }
  return best;
}

// As large as fits into `most` with its shape kept.
Size kept_shape(Size from, Size most) {
  const auto width = static_cast<double>(from.width), height = static_cast<double>(from.height);
  const double across = static_cast<double>(most.width) / width;
  const double down = static_cast<double>(most.height) / height;
  const Size to = across < down ? Size{most.width, std::min(below(height * across), most.height)}
                                : Size{std::min(below(width * down), most.width), most.height};
  return {std::max<std::int64_t>(to.width, 1), std::max<std::int64_t>(to.height, 1)};
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

// A picture on a larger black one.
Picture framed_at(const Picture& picture, Size to, std::int64_t left, std::int64_t top) {
  Picture framed{to.width, to.height, {}};
  framed.rgb.resize(static_cast<std::size_t>(to.width * to.height * 3));
  for (std::int64_t y = 0; y < picture.height; ++y)
    std::copy_n(picture.rgb.begin() + y * picture.width * 3, picture.width * 3,
                framed.rgb.begin() + ((top + y) * to.width + left) * 3);
  return framed;
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
  return framed_at(resample(picture, size.width, size.height, hyper.filter), to,
                   (to.width - size.width) / 2, (to.height - size.height) / 2);
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

}  // namespace

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

PreparedPicture cut_by_shape(const TowerSpec& spec, const TowerHyper& hyper,
                             const Picture& picture) {
  const std::int64_t edge = hyper.image_size;
  const Size square{edge, edge};
  const TowerHyper::Grid grid = nearest_grid(hyper, {picture.width, picture.height});
  const Picture sized = resample(picture, edge * grid.columns, edge * grid.rows, hyper.filter);
  PreparedPicture prepared;
  for (std::int64_t top = 0; top < sized.height; top += edge)
    for (std::int64_t left = 0; left < sized.width; left += edge)
      prepared.tiles.push_back(tile_of(hyper, sized, left, top, square));
  if (prepared.tiles.size() > 1)
    prepared.tiles.push_back(
        tile_of(hyper, resample(picture, edge, edge, hyper.filter), 0, 0, square));
  prepared.rows = prepared.tiles.size() * rows_of(hyper, prepared.tiles.front());
  prepared.text = fmt::format("{}{}{}", spec.rows_before, repeated(spec.row_name, prepared.rows),
                              spec.rows_after);
  return prepared;
}

// Tile by tile with marks between them, then the whole.
PreparedPicture cut_by_canvas(const TowerSpec& spec, const TowerHyper& hyper,
                              const Picture& picture) {
  const std::int64_t edge = hyper.image_size;
  const Size square{edge, edge}, from{picture.width, picture.height};
  const TowerHyper::Grid grid = fitting_grid(hyper, from);
  const Size canvas{edge * grid.columns, edge * grid.rows};
  const Size size = kept_shape(from, {std::min(std::max(from.width, edge), canvas.width),
                                      std::min(std::max(from.height, edge), canvas.height)});
  const Picture framed =
      framed_at(resample(picture, size.width, size.height, hyper.filter), canvas, 0, 0);
  PreparedPicture prepared;
  const std::size_t each = (edge / hyper.block()) * (edge / hyper.block());
  const std::string rows = repeated(spec.row_name, each);
  prepared.text = "<|image_start|>";
  for (std::int64_t top = 0; top < canvas.height; top += edge) {
    for (std::int64_t left = 0; left < canvas.width; left += edge) {
      prepared.tiles.push_back(tile_of(hyper, framed, left, top, square));
      if (grid.rows * grid.columns == 1) continue;
      prepared.text += rows;
      if (left + edge < canvas.width) prepared.text += "<|tile_x_separator|>";
    }
    if (grid.rows * grid.columns > 1) prepared.text += "<|tile_y_separator|>";
  }
  if (prepared.tiles.size() > 1)
    prepared.tiles.push_back(
        tile_of(hyper, resample(picture, edge, edge, hyper.filter), 0, 0, square));
  prepared.text += fmt::format("{}{}<|image_end|>", spec.marker, rows);
  prepared.rows = prepared.tiles.size() * each;
  return prepared;
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

}  // namespace hearth::models
