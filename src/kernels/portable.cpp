// The table that runs everywhere: 128-bit vectors, which every 64-bit machine has.
#define HEARTH_ISA portable
#define HEARTH_LANES 4
#include "kernels/portable.inl"
#include "kernels/unpack.inl"

namespace hearth::kernels {
namespace portable {
namespace {

// Unpacks some columns at a time and multiplies row by row.
void gemv(Panel kind, float* y, std::size_t ldy, const float* x, std::size_t ldx, std::size_t m,
          const void* panels, std::size_t panel_count, std::size_t k) {
  alignas(64) float weights[super_columns * panel_rows];
  for (std::size_t p = 0; p < panel_count; ++p) {
    const u8* panel = static_cast<const u8*>(panels) + p * panel_bytes(kind, k);
    float* out = y + p * panel_rows;
    for (std::size_t i = 0; i < m; ++i) memset(out + i * ldy, 0, panel_rows * sizeof(float));
    for (std::size_t first = 0; first < k; first += super_columns) {
      const std::size_t columns = k - first < super_columns ? k - first : super_columns;
      unpack(kind, weights, panel, first, columns);
      for (std::size_t i = 0; i < m; ++i)
        tile<1, 1>(out + i * ldy, ldy, x + i * ldx + first, weights, columns);
    }
  }
}

constexpr Gemm gemm = {
    .tile_rows = tile_rows,
    .element_bytes = 4,
    .k_step = 1,
    .exact = true,
    .pack = pack,
    .unpack = unpack,
    .unpack_rows = unpack_rows,
    .block = block,
};

}  // namespace
}  // namespace portable

extern const Kernels portable_table;
constexpr Kernels portable_table =
    portable::make_table("portable", portable::gemv, portable::gemm, portable::gemm);

}  // namespace hearth::kernels
