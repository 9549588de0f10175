// Search kernels for AVX-512 with AMX tiles for bytes.
#define HEARTH_ISA amx_search
#define HEARTH_LANES 16
#include "kernels/search.h"
#include "kernels/vectors.inl"
//
#include "kernels/search_floats.inl"
#include "kernels/search_plain.inl"
#include "kernels/x86/search_avx512.inl"

namespace hearth::kernels::amx_search {
namespace {

struct Tiles {};

// Source: Intel SDM, LDTILECFG.
struct TileConfiguration {
  u8 palette, start_row, reserved[14];
  u16 row_bytes[16];
  u8 rows[16];
};
static_assert(sizeof(TileConfiguration) == 64);

inline void open_tiles(Tiles&) {
  TileConfiguration configuration = {};
  configuration.palette = 1;
  for (int t = 0; t < 8; ++t) {
    configuration.row_bytes[t] = 64;
    configuration.rows[t] = 16;
  }
  // GCC 12 believes that only the first 8 bytes are read and drops the stores of the rest.
  asm volatile("" ::"r"(&configuration) : "memory");
  _tile_loadconfig(&configuration);
}

inline void close_tiles(Tiles&) { _tile_release(); }

inline void zero_tiles(Tiles&) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

// The number of a tile is part of its instruction.
template <int t>
inline void load_tile(Tiles&, const void* p, std::size_t stride) {
  if constexpr (t == 4) _tile_loadd(4, p, stride);
  if constexpr (t == 5) _tile_loadd(5, p, stride);
  if constexpr (t == 6) _tile_loadd(6, p, stride);
  if constexpr (t == 7) _tile_loadd(7, p, stride);
}

template <int t>
inline void store_tile(Tiles&, void* p, std::size_t stride) {
  if constexpr (t == 0) _tile_stored(0, p, stride);
  if constexpr (t == 1) _tile_stored(1, p, stride);
  if constexpr (t == 2) _tile_stored(2, p, stride);
  if constexpr (t == 3) _tile_stored(3, p, stride);
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
