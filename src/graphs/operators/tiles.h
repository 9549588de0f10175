// Convolutions over blocked images: which places a tile covers and what each of them sees.
#pragma once

#include "graphs/blocked.h"
#include "graphs/operators/conv.h"
#include "kernels/conv_select.h"

namespace hearth::graphs {

// A window of one or two spatial axes, as one of two.
struct Plane {
  std::int64_t height, width, lines, columns;  // of the input and of the result
  std::int64_t kernel[2], stride[2], dilation[2];
  Border border;
};
// False: windows of another rank, or of negative borders.
bool plane_of(const Windows& windows, Plane& plane);

// Elements from what a place's first tap sees to what every tap sees, in each of some blocks.
std::vector<std::ptrdiff_t> taps_of(const Plane& plane, std::int64_t pitch, std::int64_t step,
                                    std::int64_t blocks, std::int64_t block);

const kernels::ConvKernels& conv_kernels(const Machine& machine);

// Places [first, end) of a result as tiles: run(first, count), count being `tile` or half of it.
// Tiles stay within the places and may overlap; there are at least tile / 2 of them.
template <typename F>
void each_tile(std::int64_t first, std::int64_t end, std::int64_t tile, F&& run) {
  const std::int64_t small = tile / 2, begin = first;
  while (end - first >= tile) {
    run(first, tile);
    first += tile;
  }
  const std::int64_t rest = end - first;
  if (rest == 0) return;
  if (rest > small && end - begin >= tile) {
    run(end - tile, tile);
  } else if (rest > small) {
    run(first, small);
    run(end - small, small);
  } else {
    run(end - small, small);
  }
}

// What each place of a tile sees of an image whose lines are `pitch` elements apart and whose
// neighbours are `step` apart.
template <typename T>
void aim(const T** x, const T* image, const Plane& plane, std::int64_t pitch, std::int64_t step,
         std::int64_t first, std::int64_t count) {
  std::int64_t line = first / plane.columns, column = first % plane.columns;
  for (std::int64_t i = 0; i < count; ++i) {
    x[i] = image + line * plane.stride[0] * pitch + column * plane.stride[1] * step;
    if (++column == plane.columns) {
      column = 0;
      ++line;
    }
  }
}

}  // namespace hearth::graphs
