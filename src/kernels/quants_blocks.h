// What the dequantisers share: unaligned little-endian reads and the walk over blocks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/half.h"

namespace hearth::kernels {

constexpr std::int8_t iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::int8_t e2m1_doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// signs_of.rows[byte][i] is -1 where bit i of the byte is set, otherwise 1.  A product with it
// costs less than a branch.
struct SignTable {
  float rows[256][8];

  constexpr SignTable() : rows() {
    for (unsigned byte = 0; byte < 256; ++byte)
      for (unsigned i = 0; i < 8; ++i) rows[byte][i] = byte >> i & 1 ? -1.0f : 1.0f;
  }
};
inline constexpr SignTable signs_of;

inline std::uint32_t load_u16(const std::uint8_t* p) {
  return p[0] | static_cast<std::uint32_t>(p[1]) << 8;
}
inline std::uint32_t load_u32(const std::uint8_t* p) { return load_u16(p) | load_u16(p + 2) << 16; }
inline float load_f16(const std::uint8_t* p) {
  return f16_to_f32(static_cast<std::uint16_t>(load_u16(p)));
}

// Bits [4 i, 4 i + 4) of p.
inline std::uint32_t nibble(const std::uint8_t* p, std::size_t i) {
  return (static_cast<std::uint32_t>(p[i / 2]) >> (4 * (i % 2))) & 15;
}

// decode(block, out) for every block of so many elements and bytes.
template <std::size_t elements, std::size_t bytes, typename Decode>
inline void each_block(const void* blocks, float* out, std::size_t n, Decode decode) {
  const auto* block = static_cast<const std::uint8_t*>(blocks);
  for (; n >= elements; n -= elements, block += bytes, out += elements) decode(block, out);
}

}  // namespace hearth::kernels
