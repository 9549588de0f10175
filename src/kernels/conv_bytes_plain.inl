// Convolutions of bytes without products of four.  Included after conv.inl.
#include <math.h>

namespace hearth::kernels::HEARTH_ISA {
namespace {

// Four channels at a time: x by the four weights of each of 16 filters.
template <std::size_t blocks>
void byte_place(const ByteTile& t, std::size_t p) {
  std::int32_t sums[blocks * channel_block];
  memcpy(sums, t.bias, sizeof sums);
  const std::int8_t* w = t.w;
  for (std::size_t i = 0; i < t.tap_count; ++i)
    for (std::size_t c = 0; c < 4 * t.quads; c += 4, w += blocks * channel_block * 4) {
      const std::uint8_t* x = t.x[p] + t.taps[i] + c;
      const std::int32_t a = x[0], b = x[1], d = x[2], e = x[3];
      for (std::size_t f = 0; f < blocks * channel_block; ++f)
        sums[f] += a * w[4 * f] + b * w[4 * f + 1] + d * w[4 * f + 2] + e * w[4 * f + 3];
    }
  for (std::size_t f = 0; f < blocks * channel_block; ++f) {
    const std::size_t at = f / channel_block * t.y_block + p * channel_block + f % channel_block;
    if (t.sums != nullptr) {
      t.sums[at] = sums[f];
      continue;
    }
    const float scaled = static_cast<float>(sums[f]) * t.scale[f];
    const float bounded = scaled < -1e9f ? -1e9f : scaled > 1e9f ? 1e9f : scaled;
    std::int32_t value = static_cast<std::int32_t>(nearbyintf(bounded)) + t.zero;
    value = value < t.low ? t.low : value > t.high ? t.high : value;
    t.y[at] = static_cast<std::uint8_t>(value);
  }
}

void bytes(const ByteTile& t, std::size_t places, std::size_t blocks) {
  for (std::size_t p = 0; p < places; ++p)
    blocks == tile_wide ? byte_place<tile_wide>(t, p) : byte_place<1>(t, p);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
