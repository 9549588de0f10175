// Multiplication with AMX's tiles for bf16; select.cpp adds it to the table of AVX-512.
#define HEARTH_ISA amx
#define HEARTH_LANES 16
#include "kernels/vectors.inl"
//
#include "kernels/x86/codes.inl"

namespace hearth::kernels::amx {
namespace {

// The processor's own tiles: 8 of 16 rows of 64 bytes.
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

// Keeps the state that the operating system saves small while this thread does other things.
inline void close_tiles(Tiles&) { _tile_release(); }

// The number of a tile is part of its instruction.
template <int t>
inline void load_tile(Tiles&, const void* p, std::size_t stride) {
  if constexpr (t == 0) _tile_loadd(0, p, stride);
  if constexpr (t == 1) _tile_loadd(1, p, stride);
  if constexpr (t == 2) _tile_loadd(2, p, stride);
  if constexpr (t == 3) _tile_loadd(3, p, stride);
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

// Tile c += tile a * tile b.
template <int c, int a, int b>
inline void add_tile_products(Tiles&) {
  if constexpr (c == 0 && a == 4 && b == 6) _tile_dpbf16ps(0, 4, 6);
  if constexpr (c == 1 && a == 4 && b == 7) _tile_dpbf16ps(1, 4, 7);
  if constexpr (c == 2 && a == 5 && b == 6) _tile_dpbf16ps(2, 5, 6);
  if constexpr (c == 3 && a == 5 && b == 7) _tile_dpbf16ps(3, 5, 7);
}

}  // namespace
}  // namespace hearth::kernels::amx

#include "kernels/x86/bf16.inl"

namespace hearth::kernels {
extern const Gemm amx_tiles;
constexpr Gemm amx_tiles = amx::bf16_tiles;
}  // namespace hearth::kernels
