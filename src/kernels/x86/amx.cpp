// Multiplication with AMX's tiles for bf16; select.cpp adds it to the table of AVX-512.
#define HEARTH_ISA amx
#define HEARTH_LANES 16
#include "kernels/vectors.inl"
//
#include "kernels/x86/codes.inl"
#include "kernels/x86/tiles.inl"

namespace hearth::kernels::amx {
namespace {

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
