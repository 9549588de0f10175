// Numbers in memory, for every table.  The includer defines HEARTH_ISA, a namespace.
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

namespace hearth::kernels::HEARTH_ISA {
namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using i8 = std::int8_t;

inline float float_of_bits(u32 bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

inline u32 bits_of_float(float value) {
  u32 bits;
  memcpy(&bits, &value, 4);
  return bits;
}

// IEEE half to float, exactly.
inline float half_to_float(u16 h) {
  const u32 sign = static_cast<u32>(h & 0x8000) << 16;
  const u32 rest = h & 0x7FFFu;
  if (rest >= 0x7C00) return float_of_bits(sign | 0x7F800000 | (rest & 0x3FF) << 13);
  if (rest < 0x400) {  // subnormal: rest * 2^-24
    const float value = static_cast<float>(rest) * 0x1p-24f;
    return sign ? -value : value;
  }
  return float_of_bits(sign | ((rest << 13) + 0x38000000));
}

inline float load_half(const u8* p, std::size_t index) {
  u16 h;
  memcpy(&h, p + 2 * index, 2);
  return half_to_float(h);
}

inline u32 load_u32(const u8* p, std::size_t index) {
  u32 value;
  memcpy(&value, p + 4 * index, 4);
  return value;
}

// m rows are cut into as few tiles as fit, of heights that differ by at most one.
struct Cut {
  std::size_t tiles, least, taller;  // the first `taller` tiles have least + 1 rows

  std::size_t height(std::size_t t) const { return least + (t < taller ? 1 : 0); }
};
inline Cut cut(std::size_t m, std::size_t most) {
  const std::size_t tiles = (m + most - 1) / most;
  return {tiles, tiles ? m / tiles : 0, tiles ? m % tiles : 0};
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
