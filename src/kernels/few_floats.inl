// Few rows by panels of floats.  Included after floats.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

template <Panel kind, std::size_t rows, std::size_t panels>
void few_floats(float* y, std::size_t ldy, const float* x, std::size_t ldx, const u8* panel,
                std::size_t k) {
  const std::size_t bytes = panel_bytes(kind, k);
  Vec sums[panels][panel_vectors][rows] = {};
  const auto take = [&](std::size_t column, bool odd) {
#pragma GCC unroll 4
    for (std::size_t p = 0; p < panels; ++p)
#pragma GCC unroll 4
      for (std::size_t h = 0; h < panel_vectors; ++h) {
        const Vec w = column_of<kind>(panel + p * bytes, column, odd, h);
#pragma GCC unroll 4
        for (std::size_t r = 0; r < rows; ++r)
          sums[p][h][r] = multiply_add(w, splat(x[r * ldx + column]), sums[p][h][r]);
      }
  };
  std::size_t column = 0;
  for (; k - column >= 4; column += 4) {
    take(column, false);
    take(column + 1, true);
    take(column + 2, false);
    take(column + 3, true);
  }
  for (; column < k; ++column) take(column, column % 2);
#pragma GCC unroll 4
  for (std::size_t p = 0; p < panels; ++p)
#pragma GCC unroll 4
    for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (std::size_t h = 0; h < panel_vectors; ++h)
        store(y + r * ldy + p * panel_rows + h * lanes, sums[p][h][r]);
}

// Several panels at once hide the latency of the sums.
template <Panel kind, std::size_t rows>
void few_floats_rows(float* y, std::size_t ldy, const float* x, std::size_t ldx, const void* panels,
                     std::size_t count, std::size_t k) {
  constexpr std::size_t together = lanes == 16       ? (rows <= 2 ? 4 : 2)
                                   : registers == 32 ? 4 / rows
                                                     : (rows == 1 ? 2 : 1);
  const std::size_t bytes = panel_bytes(kind, k);
  const u8* panel = static_cast<const u8*>(panels);
  std::size_t p = 0;
  for (; count - p >= together; p += together)
    few_floats<kind, rows, together>(y + p * panel_rows, ldy, x, ldx, panel + p * bytes, k);
  for (; p < count; ++p)
    few_floats<kind, rows, 1>(y + p * panel_rows, ldy, x, ldx, panel + p * bytes, k);
}

template <Panel kind>
void few_floats_kind(float* y, std::size_t ldy, const float* x, std::size_t ldx, std::size_t m,
                     const void* panels, std::size_t count, std::size_t k) {
  if (m == 4) return few_floats_rows<kind, 4>(y, ldy, x, ldx, panels, count, k);
  if (m >= 2) few_floats_rows<kind, 2>(y, ldy, x, ldx, panels, count, k);
  if (m != 2)
    few_floats_rows<kind, 1>(y + (m - 1) * ldy, ldy, x + (m - 1) * ldx, ldx, panels, count, k);
}

void few(Panel kind, float* y, std::size_t ldy, const float* x, std::size_t ldx, std::size_t m,
         const void* panels, std::size_t count, std::size_t k) {
  if (kind == Panel::f32) few_floats_kind<Panel::f32>(y, ldy, x, ldx, m, panels, count, k);
  if (kind == Panel::f16) few_floats_kind<Panel::f16>(y, ldy, x, ldx, m, panels, count, k);
  if (kind == Panel::bf16) few_floats_kind<Panel::bf16>(y, ldy, x, ldx, m, panels, count, k);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
