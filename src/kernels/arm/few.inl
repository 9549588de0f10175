// One row by panels of groups, whose codes stay in registers.  Included after arm/sums.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t bytes_ahead = 1024;  // of what is read, asked for from memory

template <Panel kind, int planes, std::size_t panels>
void one_row(float* y, const RowPair<planes>* x, const u8* panel, std::size_t k) {
  constexpr PanelShape shape = shape_of(kind);
  constexpr std::size_t groups = shape.unit_columns / group_columns;
  constexpr std::size_t steps = steps_per_scale(kind);
  const std::size_t bytes = panel_bytes(kind, k);
  Vec sums[panels][4] = {};
  for (std::size_t unit = 0; unit < k / shape.unit_columns; ++unit, panel += shape.unit_bytes)
    for (std::size_t g = 0; g < groups; ++g, ++x) {
      const u8* group = panel + shape.head_bytes + g * shape.group_bytes;
#pragma GCC unroll 2
      for (std::size_t p = 0; p < panels; ++p) {
        const u8* ahead = group + p * bytes + bytes_ahead;
        for (std::size_t i = 0; i < shape.group_bytes; i += 64) __builtin_prefetch(ahead + i);
      }
#pragma GCC unroll 2
      for (std::size_t begin = 0; begin < 4; begin += steps) {
        Sums<is_wide(kind)> whole[panels][4][planes];
#pragma GCC unroll 4
        for (std::size_t i = 0; i < steps; ++i) {
          const std::size_t v = begin + i;
#pragma GCC unroll 2
          for (std::size_t p = 0; p < panels; ++p)
#pragma GCC unroll 4
            for (std::size_t h = 0; h < 4; ++h) {
              const SignedCodes codes = signed_codes_of<kind>(group + p * bytes, v, h);
#pragma GCC unroll 2
              for (std::size_t plane = 0; plane < planes; ++plane)
                whole[p][h][plane].add(codes, vld1q_s8(x->q[plane][v]), false);
            }
        }
#pragma GCC unroll 2
        for (std::size_t p = 0; p < panels; ++p)
#pragma GCC unroll 4
          for (std::size_t h = 0; h < 4; ++h)
            sums[p][h] = add_group<has_minimum(kind)>(
                sums[p][h], total_of(whole[p][h]),
                scales_of<kind>(panel + p * bytes, group + p * bytes, begin, h), x->scale[0],
                x->sum[0]);
      }
    }
#pragma GCC unroll 2
  for (std::size_t p = 0; p < panels; ++p)
#pragma GCC unroll 4
    for (std::size_t h = 0; h < 4; ++h) store(y + p * panel_rows + h * lanes, sums[p][h]);
}

// x: packed as one tile.
template <int planes>
void one_row_of(Panel kind, float* y, const void* x, const void* panels, std::size_t count,
                std::size_t k) {
  const RowPair<planes>* row = static_cast<const RowPair<planes>*>(x);
  with_group_kind(kind, [=](auto constant) {
    constexpr Panel value = decltype(constant)::value;
    constexpr std::size_t together = planes == 1 ? 2 : 1;  // hides the latency of the sums
    const u8* panel = static_cast<const u8*>(panels);
    const std::size_t bytes = panel_bytes(value, k);
    std::size_t p = 0;
    for (; count - p >= together; p += together)
      one_row<value, planes, together>(y + p * panel_rows, row, panel + p * bytes, k);
    if (p < count) one_row<value, planes, 1>(y + p * panel_rows, row, panel + p * bytes, k);
  });
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
