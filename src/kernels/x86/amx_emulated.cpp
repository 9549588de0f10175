// The multiplication of amx.cpp with tiles in plain C: packing, loops and edges can be tested on a
// machine without AMX.  Only tests name it.
#define HEARTH_ISA amx_emulated
#define HEARTH_LANES 16
#include "kernels/vectors.inl"
//
#include "kernels/x86/codes.inl"
#include "kernels/x86/tiles_emulated.inl"

namespace hearth::kernels::amx_emulated {
namespace {

// Element i of 32 bf16.
float element(const u8* row, std::size_t i) {
  u16 half;
  memcpy(&half, row + 2 * i, 2);
  return float_of_bits(static_cast<u32>(half) << 16);
}

// Sums of even and odd columns are kept apart and added at the end, as TDPBF16PS does.
template <int c, int a, int b>
void add_tile_products(Tiles& tiles) {
  for (std::size_t m = 0; m < 16; ++m)
    for (std::size_t n = 0; n < 16; ++n) {
      float even = 0, odd = 0, total;
      for (std::size_t k = 0; k < 16; ++k) {
        even += element(tiles.tile[a][m], 2 * k) * element(tiles.tile[b][k], 2 * n);
        odd += element(tiles.tile[a][m], 2 * k + 1) * element(tiles.tile[b][k], 2 * n + 1);
      }
      memcpy(&total, tiles.tile[c][m] + 4 * n, 4);
      total += even + odd;
      memcpy(tiles.tile[c][m] + 4 * n, &total, 4);
    }
}

}  // namespace
}  // namespace hearth::kernels::amx_emulated

#include "kernels/x86/bf16.inl"

namespace hearth::kernels {
extern const Gemm amx_emulated_tiles;
constexpr Gemm amx_emulated_tiles = amx_emulated::bf16_tiles;
}  // namespace hearth::kernels
