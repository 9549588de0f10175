// The table of amx_search.cpp with tiles in plain C, for machines without AMX.  Only tests name it.
#define HEARTH_ISA amx_emulated_search
#define HEARTH_LANES 16
#include "kernels/search.h"
#include "kernels/vectors.inl"
//
#include "kernels/search_floats.inl"
#include "kernels/search_plain.inl"
#include "kernels/x86/search_avx512.inl"
#include "kernels/x86/tiles_emulated.inl"

namespace hearth::kernels::amx_emulated_search {
namespace {

void zero_tiles(Tiles& tiles) { memset(tiles.tile, 0, sizeof tiles.tile[0] * 4); }

// Tile c += tile a (unsigned) * tile b (signed).
template <int c, int a, int b>
void add_tile_products(Tiles& tiles) {
  for (std::size_t m = 0; m < 16; ++m)
    for (std::size_t n = 0; n < 16; ++n) {
      std::int32_t total;
      memcpy(&total, tiles.tile[c][m] + 4 * n, 4);
      for (std::size_t k = 0; k < 64; ++k)
        total += tiles.tile[a][m][k] * static_cast<i8>(tiles.tile[b][k / 4][4 * n + k % 4]);
      memcpy(tiles.tile[c][m] + 4 * n, &total, 4);
    }
}

}  // namespace
}  // namespace hearth::kernels::amx_emulated_search

#include "kernels/x86/search_tiles.inl"
//
#include "kernels/search_table.inl"

namespace hearth::kernels {
extern const SearchKernels amx_emulated_search_table;
constexpr SearchKernels amx_emulated_search_table =
    amx_emulated_search::make_search_table("amx-emulated");
}  // namespace hearth::kernels
