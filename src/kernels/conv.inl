// Tiles of convolutions.  Included after vectors.inl, with HEARTH_TILE_PLACES and HEARTH_TILE_WIDE.
#include "kernels/conv.h"

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t tile_places = HEARTH_TILE_PLACES, tile_wide = HEARTH_TILE_WIDE;
constexpr std::size_t block_vectors = channel_block / lanes;

// Sums are done: adds, bounds and stores them.  Loops over sums are unrolled, here and below, so
// that sums stay in registers.
template <std::size_t places, std::size_t blocks>
inline void finish_tile(const ConvTile& t, Vec (&sums)[places][blocks * block_vectors]) {
  constexpr std::size_t vectors = blocks * block_vectors;
  const auto at = [&](std::size_t p, std::size_t v) {
    return v / block_vectors * t.y_block + p * channel_block + v % block_vectors * lanes;
  };
  if (t.add != nullptr) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v)
#pragma GCC unroll 14
      for (std::size_t p = 0; p < places; ++p) sums[p][v] += load(t.add + at(p, v));
  }
  const Vec low = splat(t.low), high = splat(t.high);
#pragma GCC unroll 8
  for (std::size_t v = 0; v < vectors; ++v)
#pragma GCC unroll 14
    for (std::size_t p = 0; p < places; ++p)
      // In this order what is no number stays none.
      store(t.y + at(p, v), vector_min(high, vector_max(low, sums[p][v])));
}

// Whether the places lie one behind the other.
template <std::size_t places>
inline bool is_row(const ConvTile& t) {
  for (std::size_t p = 1; p < places; ++p)
    if (t.x[p] != t.x[0] + p * channel_block) return false;
  return true;
}

// `row`: the places lie one behind the other, so that one address leads to all of them.
template <std::size_t places, std::size_t blocks, bool row>
void sum_tile(const ConvTile& t) {
  constexpr std::size_t vectors = blocks * block_vectors;
  Vec sums[places][vectors];
#pragma GCC unroll 14
  for (std::size_t p = 0; p < places; ++p)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) sums[p][v] = load(t.bias + v * lanes);
  const float* x[places];
  for (std::size_t p = 0; p < places; ++p) x[p] = t.x[p];
  const float *w = t.w, *const begin = t.x[0];
  for (std::size_t i = 0; i < t.tap_count; ++i) {
    const std::ptrdiff_t first = t.taps[i];
    const auto end = first + static_cast<std::ptrdiff_t>(t.channels);
    for (std::ptrdiff_t c = first; c < end; ++c) {
      Vec weights[vectors];
#pragma GCC unroll 8
      for (std::size_t v = 0; v < vectors; ++v) weights[v] = load(w + v * lanes);
      w += vectors * lanes;
#pragma GCC unroll 14
      for (std::size_t p = 0; p < places; ++p) {
        const Vec value =
            splat(row ? begin[c + static_cast<std::ptrdiff_t>(p * channel_block)] : x[p][c]);
#pragma GCC unroll 8
        for (std::size_t v = 0; v < vectors; ++v)
          sums[p][v] = multiply_add(value, weights[v], sums[p][v]);
      }
    }
  }
  finish_tile<places, blocks>(t, sums);
}

template <std::size_t places, std::size_t blocks>
void conv_tile(const ConvTile& t) {
  is_row<places>(t) ? sum_tile<places, blocks, true>(t) : sum_tile<places, blocks, false>(t);
}

void tile(const ConvTile& t, std::size_t places, std::size_t blocks) {
  if (places == tile_places)
    blocks == tile_wide ? conv_tile<tile_places, tile_wide>(t) : conv_tile<tile_places, 1>(t);
  else
    blocks == tile_wide ? conv_tile<tile_places / 2, tile_wide>(t)
                        : conv_tile<tile_places / 2, 1>(t);
}

template <std::size_t places, bool row>
void sum_depthwise(const ConvTile& t) {
  Vec sums[places][block_vectors];
#pragma GCC unroll 14
  for (std::size_t p = 0; p < places; ++p)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < block_vectors; ++v) sums[p][v] = load(t.bias + v * lanes);
  const float* x[places];
  for (std::size_t p = 0; p < places; ++p) x[p] = t.x[p];
  for (std::size_t i = 0; i < t.tap_count; ++i) {
    Vec weights[block_vectors];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < block_vectors; ++v)
      weights[v] = load(t.w + i * channel_block + v * lanes);
#pragma GCC unroll 14
    for (std::size_t p = 0; p < places; ++p) {
      const float* seen = (row ? t.x[0] + p * channel_block : x[p]) + t.taps[i];
#pragma GCC unroll 8
      for (std::size_t v = 0; v < block_vectors; ++v)
        sums[p][v] = multiply_add(load(seen + v * lanes), weights[v], sums[p][v]);
    }
  }
  finish_tile<places, 1>(t, sums);
}

template <std::size_t places>
void depthwise_tile(const ConvTile& t) {
  is_row<places>(t) ? sum_depthwise<places, true>(t) : sum_depthwise<places, false>(t);
}

void depthwise(const ConvTile& t, std::size_t places) {
  places == tile_places ? depthwise_tile<tile_places>(t) : depthwise_tile<tile_places / 2>(t);
}

void largest_of_taps(const ConvTile& t, std::size_t places) {
  const Vec low = splat(t.low), high = splat(t.high);
  for (std::size_t p = 0; p < places; ++p)
    for (std::size_t v = 0; v < channel_block; v += lanes) {
      Vec most = low;
      for (std::size_t i = 0; i < t.tap_count; ++i)
        most = vector_max(load(t.x[p] + t.taps[i] + v), most);
      store(t.y + p * channel_block + v, vector_min(most, high));
    }
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
