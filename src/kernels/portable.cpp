// The table that runs everywhere: 128-bit vectors, which every 64-bit machine has.
#define HEARTH_ISA portable
#define HEARTH_LANES 4
#include "kernels/portable.inl"
//
#include "kernels/tiles.inl"
#include "kernels/unpack_vectors.inl"

namespace hearth::kernels {
namespace portable {
namespace {

// Unpacks some columns at a time; `multiply` takes them: (panel, first column, columns).
template <typename F>
void each_block(Panel kind, const void* panels, std::size_t count, std::size_t k, F multiply) {
  alignas(64) float weights[super_columns * panel_rows];
  for (std::size_t p = 0; p < count; ++p) {
    const u8* panel = static_cast<const u8*>(panels) + p * panel_bytes(kind, k);
    for (std::size_t first = 0; first < k; first += super_columns) {
      const std::size_t columns = k - first < super_columns ? k - first : super_columns;
      unpack(kind, weights, panel, first, columns);
      multiply(weights, p, first, columns);
    }
  }
}

void clear(float* y, std::size_t ldy, std::size_t m, std::size_t n) {
  for (std::size_t i = 0; i < m; ++i) memset(y + i * ldy, 0, n * sizeof(float));
}

void few(Panel kind, float* y, std::size_t ldy, const float* x, std::size_t ldx, std::size_t m,
         const void* panels, std::size_t count, std::size_t k) {
  clear(y, ldy, m, count * panel_rows);
  each_block(kind, panels, count, k,
             [=](const float* w, std::size_t p, std::size_t first, std::size_t columns) {
               for (std::size_t i = 0; i < m; ++i)
                 tile<1, 1>(y + i * ldy + p * panel_rows, ldy, x + i * ldx + first, w, columns);
             });
}

void few_grouped(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                 const void* panels, std::size_t count, std::size_t k) {
  const Cut all = cut(m, tile_rows);
  clear(y, ldy, m, count * panel_rows);
  each_block(kind, panels, count, k,
             [=](const float* w, std::size_t p, std::size_t first, std::size_t columns) {
               const float* rows = static_cast<const float*>(x);
               float* out = y + p * panel_rows;
               for (std::size_t t = 0; t < all.tiles; ++t) {
                 const std::size_t height = all.height(t);
                 tile_of<tile_rows, 1>(height, out, ldy, rows + first * height, w, columns);
                 rows += height * k;
                 out += height * ldy;
               }
             });
}

constexpr Gemm gemm = plain_gemm(unpack, few_grouped);

}  // namespace
}  // namespace portable

extern const Kernels portable_table;
constexpr Kernels portable_table = portable::make_table("portable", portable::few, &portable::gemm,
                                                        &portable::gemm, &portable::gemm);

}  // namespace hearth::kernels
