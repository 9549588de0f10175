// Convolution kernels: tiles of places by filters, over images in blocks of channels.
//
// A blocked image is [channels / 16][places][16]: 16 channels of one place lie together, and those
// past the last channel are zero.  Places of a result are numbered line after line.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::kernels {

constexpr std::size_t channel_block = 16;
constexpr std::size_t most_tile_places = 14;

// Some places that follow one another, for one block of 16 filters or for `wide` of them.
struct ConvTile {
  float* y;  // [places][16]; the next block of filters is y_block floats on
  std::size_t y_block;
  const float* const* x;       // [places]: what the tap at distance 0 sees of each place
  const std::ptrdiff_t* taps;  // [tap_count]: floats from there to what each tap sees
  std::size_t tap_count;
  std::size_t channels;  // that lie together at a tap
  const float* w;        // [tap_count][channels][16 * blocks]
  const float* bias;     // [16 * blocks]
  const float* add;      // of the layout of y: added before the bounds; null: none
  float low, high;       // bounds of the result
};

// The same on bytes: sums of whole numbers, given as they are or scaled and rounded to bytes.
struct ByteTile {
  std::uint8_t* y;     // [places][16]; the next block of filters is y_block elements on
  std::int32_t* sums;  // not null: of the layout of y, and y is not written
  std::size_t y_block;
  const std::uint8_t* const* x;  // [places]
  const std::ptrdiff_t* taps;    // bytes
  std::size_t tap_count;
  std::size_t quads;         // of four channels that lie together at a tap
  const std::int8_t* w;      // [tap_count][quads][16 * blocks][4]
  const std::int32_t* bias;  // [16 * blocks]: the first term of each sum
  const float* scale;        // [16 * blocks]: of the sum
  std::int32_t zero;         // added to the rounded result
  std::int32_t low, high;    // bounds of the result, which is cut to its low byte
};

struct ConvKernels {
  const char* name;    // "avx512"
  std::size_t places;  // of a tile; a small one has half of them
  std::size_t wide;    // blocks of filters of a wide tile

  // y = min(max(bias + sum of x * w + add, low), high).  Tolerance 1e-5 of the terms' magnitudes.
  // places: `places` or half of it; blocks: 1 or `wide`.
  void (*tile)(const ConvTile& t, std::size_t places, std::size_t blocks);
  // One kernel per channel: w: [tap_count][16], blocks 1, channels 16.
  void (*depthwise)(const ConvTile& t, std::size_t places);
  // y = the largest of what the taps see, within the bounds; w, bias and add are not read.
  void (*largest)(const ConvTile& t, std::size_t places);

  // y = round(sum * scale) + zero within the bounds; x is of 0 to 255.  Exact up to the last place
  // of sum * scale in f32; ties to even.
  void (*bytes)(const ByteTile& t, std::size_t places, std::size_t blocks);
};

// Slow, obvious, right.  Every other table is tested against it.
const ConvKernels& conv_reference();

}  // namespace hearth::kernels
