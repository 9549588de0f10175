// Few rows by panels of groups.  Included after rounded.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// What the sum of codes times x starts from, so that offsets are taken off.
template <Panel kind>
inline Bits start_of(const RoundedGroup& x, std::size_t v) {
  if constexpr (offset_bits(kind) == 0) return all_ints(0);
  const std::int32_t second = x.minus_sum - x.minus_first;
  const std::int32_t sum = kind != Panel::q6_k ? x.minus_sum : v < 2 ? x.minus_first : second;
  return shift_left_ints<offset_bits(kind)>(all_ints(sum));
}

// `rows` rows by `panels` panels.  x: [k / 32][height], of which the first rows are taken.
template <Panel kind, std::size_t rows, std::size_t panels>
void few_groups(float* y, std::size_t ldy, const RoundedGroup* x, std::size_t height,
                const u8* panel, std::size_t k) {
  constexpr PanelShape shape = shape_of(kind);
  constexpr std::size_t groups = shape.unit_columns / group_columns;
  constexpr std::size_t chains = rows == 1 ? 2 : 1;
  const std::size_t bytes = panel_bytes(kind, k);
  const u8* end = panel + bytes;
  Vec sums[panels][halves][rows] = {};
  for (std::size_t unit = 0; unit < k / shape.unit_columns; ++unit, panel += shape.unit_bytes)
    for (std::size_t g = 0; g < groups; ++g, x += height) {
      const u8* group = panel + shape.head_bytes + g * shape.group_bytes;
      ask_ahead<panels>(group, bytes, end, shape.group_bytes);
      Bits whole[panels][halves][rows][chains];
#pragma GCC unroll 1
      for (std::size_t v = 0; v < 4; ++v)
#pragma GCC unroll 4
        for (std::size_t p = 0; p < panels; ++p)
#pragma GCC unroll 2
          for (std::size_t h = 0; h < halves; ++h) {
            const Words words = words_of<kind>(group + p * bytes, v, h);
#pragma GCC unroll 4
            for (std::size_t r = 0; r < rows; ++r) {
              Bits(&sum)[chains] = whole[p][h][r];
              if (v % steps_per_scale(kind) == 0) {
                sum[0] = start_of<kind>(x[r], v);
                if (chains > 1) sum[chains - 1] = all_ints(0);
              }
#pragma GCC unroll 4
              for (std::size_t i = 0; i < 4; ++i)
                sum[i % chains] =
                    add_products(sum[i % chains], words.w[i], load_pair(x[r], 4 * v + i));
            }
            if ((v + 1) % steps_per_scale(kind) != 0) continue;
            const Scales scales = scales_of<kind>(panel + p * bytes, group + p * bytes, v, h);
#pragma GCC unroll 4
            for (std::size_t r = 0; r < rows; ++r) {
              const Bits all = chains > 1 ? plus_ints(whole[p][h][r][0], whole[p][h][r][chains - 1])
                                          : whole[p][h][r][0];
              sums[p][h][r] = add_group<has_minimum(kind)>(sums[p][h][r], all, scales, x[r]);
            }
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

template <Panel kind, std::size_t rows>
void few_groups_rows(float* y, std::size_t ldy, const RoundedGroup* x, std::size_t height,
                     const void* panels, std::size_t count, std::size_t k) {
  constexpr std::size_t together = lanes == 16 ? (rows <= 2 ? 4 : 2) : 1;
  const std::size_t bytes = panel_bytes(kind, k);
  const u8* panel = static_cast<const u8*>(panels);
  std::size_t p = 0;
  for (; count - p >= together; p += together)
    few_groups<kind, rows, together>(y + p * panel_rows, ldy, x, height, panel + p * bytes, k);
  for (; p < count; ++p)
    few_groups<kind, rows, 1>(y + p * panel_rows, ldy, x, height, panel + p * bytes, k);
}

// One tile of at most four rows.
template <Panel kind>
void few_groups_tile(float* y, std::size_t ldy, const RoundedGroup* x, std::size_t height,
                     const void* panels, std::size_t count, std::size_t k) {
  if constexpr (rounded_rows > 3)
    if (height == 4) return few_groups_rows<kind, 4>(y, ldy, x, height, panels, count, k);
  if (height >= 2) few_groups_rows<kind, 2>(y, ldy, x, height, panels, count, k);
  if (height != 2)
    few_groups_rows<kind, 1>(y + (height - 1) * ldy, ldy, x + (height - 1), height, panels, count,
                             k);
}

// Of kinds with super-blocks, or of those without.
template <bool super>
void few_grouped(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                 const void* panels, std::size_t count, std::size_t k) {
  const RoundedGroup* rows = static_cast<const RoundedGroup*>(x);
  const Cut all = cut(m, rounded_rows);
  with_group_kind(kind, [&](auto constant) {
    constexpr Panel value = decltype(constant)::value;
    if constexpr (has_super(value) == super)
      for (std::size_t t = 0; t < all.tiles; ++t) {
        const std::size_t height = all.height(t);
        few_groups_tile<value>(y, ldy, rows, height, panels, count, k);
        rows += height * (k / group_columns);
        y += height * ldy;
      }
  });
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
