// Rows rounded to bytes by panels of groups, 256-bit.
#define HEARTH_ISA avx2
#define HEARTH_LANES 8
#include "kernels/vectors.inl"
//
#include "kernels/x86/codes.inl"
//
#include "kernels/x86/bytes.inl"
//
#include "kernels/x86/bytes_tile_words.inl"
//
#include "kernels/x86/bytes_gemm.inl"

namespace hearth::kernels {
namespace avx2 {
namespace {

// Few rows: some groups at a time are unpacked into the first-level cache.
void few_bytes(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
               const void* panels, std::size_t count, std::size_t k) {
  alignas(64) CodeGroup weights[super_columns / group_columns];
  const u8* panel = static_cast<const u8*>(panels);
  for (std::size_t p = 0; p < count; ++p, panel += panel_bytes(kind, k), y += panel_rows) {
    for (std::size_t i = 0; i < m; ++i) memset(y + i * ldy, 0, panel_rows * sizeof(float));
    const ByteGroup* rows = static_cast<const ByteGroup*>(x);
    for (std::size_t first = 0; first < k; first += super_columns) {
      const std::size_t columns = k - first < super_columns ? k - first : super_columns;
      unpack_bytes(kind, weights, panel, first, columns);
      block_bytes(kind, y, ldy, rows, weights, m, columns, 1, nullptr);
      rows += m * (columns / group_columns);
    }
  }
}
static_assert(few_rows <= byte_rows, "few rows are one tile");

}  // namespace
}  // namespace avx2

extern const Gemm avx2_bytes;
constexpr Gemm avx2_bytes = avx2::bytes_with(avx2::few_bytes, few_rows);
}  // namespace hearth::kernels
