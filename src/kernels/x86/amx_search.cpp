// Search kernels for AVX-512 with AMX tiles for bytes.
#define HEARTH_ISA amx_search
#define HEARTH_LANES 16
#include "kernels/search.h"
#include "kernels/vectors.inl"
//
#include "kernels/search_floats.inl"
#include "kernels/search_plain.inl"
#include "kernels/x86/search_avx512.inl"
#include "kernels/x86/tiles.inl"

namespace hearth::kernels::amx_search {
namespace {

inline void zero_tiles(Tiles&) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

// Tile c += tile a (unsigned) * tile b (signed).
template <int c, int a, int b>
inline void add_tile_products(Tiles&) {
  if constexpr (c == 0) _tile_dpbusd(0, 4, 6);
  if constexpr (c == 1) _tile_dpbusd(1, 4, 7);
  if constexpr (c == 2) _tile_dpbusd(2, 5, 6);
  if constexpr (c == 3) _tile_dpbusd(3, 5, 7);
}

}  // namespace
}  // namespace hearth::kernels::amx_search

#include "kernels/x86/search_tiles.inl"
//
#include "kernels/search_table.inl"

namespace hearth::kernels {
extern const SearchKernels amx_search_table;
constexpr SearchKernels amx_search_table = amx_search::make_search_table("amx");
}  // namespace hearth::kernels
