#include <algorithm>
#include <cmath>

#include "models/vision/tower.h"

namespace hearth::models {

PatchOrder order_patches(const TowerHyper& hyper, std::uint32_t width, std::uint32_t height) {
  const std::uint32_t columns = width / hyper.block(), rows = height / hyper.block();  // of blocks
  const std::uint32_t wide = hyper.window > 0 ? hyper.window / hyper.merge : columns;
  const std::uint32_t high = hyper.window > 0 ? hyper.window / hyper.merge : rows;
  PatchOrder order;
  order.places.reserve(std::size_t{columns} * rows * hyper.merge * hyper.merge);
  for (std::uint32_t top = 0; top < rows; top += high)
    for (std::uint32_t left = 0; left < columns; left += wide) {
      if (hyper.window > 0) order.windows.push_back(order.places.size());
      for (std::uint32_t y = top; y < std::min(top + high, rows); ++y)
        for (std::uint32_t x = left; x < std::min(left + wide, columns); ++x) {
          order.block_of.push_back(y * columns + x);
          for (std::uint32_t dy = 0; dy < hyper.merge; ++dy)
            for (std::uint32_t dx = 0; dx < hyper.merge; ++dx)
              order.places.push_back({y * hyper.merge + dy, x * hyper.merge + dx});
        }
    }
  if (hyper.window > 0) order.windows.push_back(order.places.size());
  return order;
}

namespace {

// Source: Idefics 3: the share of an edge that lies before the patch, among those of a whole
// square.
std::uint32_t place_by_share(std::uint32_t at, std::uint32_t count, std::uint32_t side) {
  const float share =
      std::min(static_cast<float>(at) * (1.0f / static_cast<float>(count)), 1 - 1e-6f);
  std::uint32_t found = 0;
  while (found + 1 < side && share >= static_cast<float>((found + 1.0) / side)) ++found;
  return found;
}

// Between which two of `side` places a patch lies whose first and last lie on theirs.
struct Between {
  std::uint32_t low, high;
  float high_share;
};
Between stretched(std::uint32_t at, std::uint32_t count, std::uint32_t side) {
  const float place = static_cast<float>(at) * static_cast<float>(side - 1) /
                      static_cast<float>(std::max(count, 2u) - 1);
  const auto low = static_cast<std::uint32_t>(place);
  return {low, std::min(low + 1, side - 1), place - static_cast<float>(low)};
}

}  // namespace

void add_position(const Tower& tower, const PatchOrder::Place& place, std::uint32_t rows,
                  std::uint32_t columns, float* x) {
  const std::uint32_t side = tower.hyper.image_size / tower.hyper.patch;
  const std::size_t dim = tower.hyper.dim;
  const std::size_t lead = tower.weights[TowerPart::class_row].present() ? 1 : 0;
  const auto add = [&](std::size_t number, float share) {
    const float* from = tower.weights[TowerPart::positions].values.data() + (lead + number) * dim;
    for (std::size_t d = 0; d < dim; ++d) x[d] += share * from[d];
  };
  switch (tower.spec->places) {
    case Places::counted:
      return add(std::size_t{place.row} * columns + place.column, 1);
    case Places::shares:
      return add(place_by_share(place.row, rows, side) * side +
                     place_by_share(place.column, columns, side),
                 1);
    case Places::crossed:
      add(place.column, 1);
      return add(tower.weights[TowerPart::positions].values.size() / dim / 2 + place.row, 1);
    case Places::stretched: {
      const Between down = stretched(place.row, rows, side);
      const Between across = stretched(place.column, columns, side);
      add(down.low * side + across.low, (1 - down.high_share) * (1 - across.high_share));
      add(down.low * side + across.high, (1 - down.high_share) * across.high_share);
      add(down.high * side + across.low, down.high_share * (1 - across.high_share));
      return add(down.high * side + across.high, down.high_share * across.high_share);
    }
  }
}

std::vector<ops::RopePlace> rope_places_of(const TowerSpec& spec, const PatchOrder& order,
                                           std::size_t lead) {
  std::vector<ops::RopePlace> places(lead);
  const std::uint32_t from = spec.class_last ? 1 : 0;
  for (const auto& [row, column] : order.places) places.push_back({row + from, column + from, 0});
  return places;
}

ops::RopeTable rope_table_of(const Tower& tower) {
  return {.rotary_dims = tower.hyper.head_dim,
          .interleaved = tower.spec->rope_neighbours ||
                         (tower.spec->gguf_pairs && tower.package.naming == Naming::gguf),
          .inverse_frequencies = tower.frequencies};
}

std::vector<std::uint8_t> rope_axes_of(const Tower& tower) {
  std::vector<std::uint8_t> axes(tower.hyper.head_dim / 2, 1);
  std::fill_n(axes.begin(), axes.size() / 2, std::uint8_t{0});
  if (tower.spec->rope_columns_first) std::ranges::rotate(axes, axes.begin() + axes.size() / 2);
  return axes;
}

std::vector<std::uint32_t> rope_order_of(const Tower& tower) {
  std::vector<std::uint32_t> order;
  if (!tower.spec->rope_in_halves) return order;
  const std::uint32_t quarter = tower.hyper.head_dim / 4;
  for (const std::uint32_t part : {0u, 2u, 1u, 3u})
    for (std::uint32_t i = 0; i < quarter; ++i) order.push_back(part * quarter + i);
  return order;
}

float scale_of(const Tower& tower) {
  if (tower.spec->attention_scale > 0) return tower.spec->attention_scale;
  return 1 / std::sqrt(static_cast<float>(tower.hyper.head_dim));
}

}  // namespace hearth::models
