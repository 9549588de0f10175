// Products of few rows, straight from the panels.  Included after weights.inl.  Columns are taken
// in ascending order and multiplied by fused multiply-add, as tile() does, so that both ways
// through a table give the same bits.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// `rows` rows by `panels` panels, a sum in a register for each.
template <Panel kind, std::size_t rows, std::size_t panels>
void few_groups(float* y, std::size_t ldy, const float* x, std::size_t ldx, const u8* panel,
                std::size_t k) {
  constexpr PanelShape shape = shape_of(kind);
  constexpr std::size_t groups = shape.unit_columns / group_columns;
  const std::size_t bytes = panel_bytes(kind, k);
  Vec sums[panels][halves][rows] = {};
  for (std::size_t column = 0; column < k; panel += shape.unit_bytes)
    for (std::size_t g = 0; g < groups; ++g, column += group_columns) {
      const u8* group = panel + shape.head_bytes + g * shape.group_bytes;
      Scales scales[panels][halves];
#pragma GCC unroll 1
      for (std::size_t v = 0; v < 4; ++v)
#pragma GCC unroll 4
        for (std::size_t p = 0; p < panels; ++p)
#pragma GCC unroll 2
          for (std::size_t h = 0; h < halves; ++h) {
            if (v % steps_per_scale(kind) == 0)
              scales[p][h] = scales_of<kind>(panel + p * bytes, group + p * bytes, v, h);
            const Eight eight = weights_of<kind>(group + p * bytes, v, h, scales[p][h]);
#pragma GCC unroll 8
            for (std::size_t c = 0; c < 8; ++c)
#pragma GCC unroll 4
              for (std::size_t r = 0; r < rows; ++r)
                sums[p][h][r] =
                    multiply_add(eight.w[c], splat(x[r * ldx + column + 8 * v + c]), sums[p][h][r]);
          }
    }
#pragma GCC unroll 4
  for (std::size_t p = 0; p < panels; ++p)
#pragma GCC unroll 4
    for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (std::size_t h = 0; h < halves; ++h)
        store(y + r * ldy + p * panel_rows + h * lanes, sums[p][h][r]);
}

template <Panel kind, std::size_t rows, std::size_t panels>
void few_floats(float* y, std::size_t ldy, const float* x, std::size_t ldx, const u8* panel,
                std::size_t k) {
  const std::size_t bytes = panel_bytes(kind, k);
  Vec sums[panels][halves][rows] = {};
  const auto take = [&](std::size_t column, bool odd) {
#pragma GCC unroll 4
    for (std::size_t p = 0; p < panels; ++p)
#pragma GCC unroll 2
      for (std::size_t h = 0; h < halves; ++h) {
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
#pragma GCC unroll 2
      for (std::size_t h = 0; h < halves; ++h)
        store(y + r * ldy + p * panel_rows + h * lanes, sums[p][h][r]);
}

template <Panel kind, std::size_t rows, std::size_t panels>
void few(float* y, std::size_t ldy, const float* x, std::size_t ldx, const u8* panel,
         std::size_t k) {
  if constexpr (shape_of(kind).group_bytes != 0)
    few_groups<kind, rows, panels>(y, ldy, x, ldx, panel, k);
  else
    few_floats<kind, rows, panels>(y, ldy, x, ldx, panel, k);
}

// Several panels at once hide the latency of the sums.
template <Panel kind, std::size_t rows>
void few_rows_of(float* y, std::size_t ldy, const float* x, std::size_t ldx, const void* panels,
                 std::size_t panel_count, std::size_t k) {
  constexpr std::size_t together = lanes == 16 ? (rows <= 2 ? 4 : 2) : (rows == 1 ? 2 : 1);
  const std::size_t bytes = panel_bytes(kind, k);
  const u8* panel = static_cast<const u8*>(panels);
  std::size_t p = 0;
  for (; panel_count - p >= together; p += together)
    few<kind, rows, together>(y + p * panel_rows, ldy, x, ldx, panel + p * bytes, k);
  for (; p < panel_count; ++p)
    few<kind, rows, 1>(y + p * panel_rows, ldy, x, ldx, panel + p * bytes, k);
}

template <Panel kind>
void gemv_of(float* y, std::size_t ldy, const float* x, std::size_t ldx, std::size_t m,
             const void* panels, std::size_t count, std::size_t k) {
  if (m == 4) return few_rows_of<kind, 4>(y, ldy, x, ldx, panels, count, k);
  if (m >= 2) few_rows_of<kind, 2>(y, ldy, x, ldx, panels, count, k);
  if (m != 2)
    few_rows_of<kind, 1>(y + (m - 1) * ldy, ldy, x + (m - 1) * ldx, ldx, panels, count, k);
}

void few_rows(Panel kind, float* y, std::size_t ldy, const float* x, std::size_t ldx, std::size_t m,
              const void* panels, std::size_t count, std::size_t k) {
  switch (kind) {
    case Panel::f32:
      return gemv_of<Panel::f32>(y, ldy, x, ldx, m, panels, count, k);
    case Panel::f16:
      return gemv_of<Panel::f16>(y, ldy, x, ldx, m, panels, count, k);
    case Panel::bf16:
      return gemv_of<Panel::bf16>(y, ldy, x, ldx, m, panels, count, k);
    case Panel::q8_0:
      return gemv_of<Panel::q8_0>(y, ldy, x, ldx, m, panels, count, k);
    case Panel::q4_0:
      return gemv_of<Panel::q4_0>(y, ldy, x, ldx, m, panels, count, k);
    case Panel::iq4_nl:
      return gemv_of<Panel::iq4_nl>(y, ldy, x, ldx, m, panels, count, k);
    case Panel::q5_0:
      return gemv_of<Panel::q5_0>(y, ldy, x, ldx, m, panels, count, k);
    case Panel::q4_k:
      return gemv_of<Panel::q4_k>(y, ldy, x, ldx, m, panels, count, k);
    case Panel::q5_k:
      return gemv_of<Panel::q5_k>(y, ldy, x, ldx, m, panels, count, k);
    case Panel::q6_k:
      return gemv_of<Panel::q6_k>(y, ldy, x, ldx, m, panels, count, k);
    case Panel::iq4_xs:
      return gemv_of<Panel::iq4_xs>(y, ldy, x, ldx, m, panels, count, k);
    case Panel::mxfp4:
      return gemv_of<Panel::mxfp4>(y, ldy, x, ldx, m, panels, count, k);
  }
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
