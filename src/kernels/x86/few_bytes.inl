// Few rows, rounded to bytes, by panels of groups.  Included after bytes.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// What the products of a group come to for one row and register of outputs.
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
struct GroupSum {
  Bits whole;

  template <Panel kind>
  inline void add(const CodeBytes& codes, const ByteGroup& x, std::size_t v) {
    whole = add_byte_products(whole, codes.low, four_columns(x, 2 * v));
    whole = add_byte_products(whole, codes.high, four_columns(x, 2 * v + 1));
  }
};
#else
// Summed in pairs of 16 bits for as many steps as cannot overflow.
struct GroupSum {
  Bits whole, pairs;

  template <Panel kind>
  inline void add(const CodeBytes& codes, const ByteGroup& x, std::size_t v) {
    constexpr std::size_t steps = lines_together(kind) / 2;
    const Bits products =
        _mm256_add_epi16(_mm256_maddubs_epi16(codes.low, four_columns(x, 2 * v)),
                         _mm256_maddubs_epi16(codes.high, four_columns(x, 2 * v + 1)));
    pairs = v % steps == 0 ? products : _mm256_add_epi16(pairs, products);
    if ((v + 1) % steps == 0) whole = plus_ints(whole, _mm256_madd_epi16(pairs, all_words(1)));
  }
};
#endif

// `rows` rows by `panels` panels.  x: [k / 32][height], of which the first rows are taken.
template <Panel kind, std::size_t rows, std::size_t panels>
void few_bytes(float* y, std::size_t ldy, const ByteGroup* x, std::size_t height, const u8* panel,
               std::size_t k) {
  constexpr PanelShape shape = shape_of(kind);
  constexpr std::size_t groups = shape.unit_columns / group_columns;
  const std::size_t bytes = panel_bytes(kind, k);
  const u8* end = panel + bytes;
  Vec sums[panels][halves][rows] = {};
  for (std::size_t unit = 0; unit < k / shape.unit_columns; ++unit, panel += shape.unit_bytes)
    for (std::size_t g = 0; g < groups; ++g, x += height) {
      const u8* group = panel + shape.head_bytes + g * shape.group_bytes;
      GroupSum group_sums[panels][halves][rows];
      ask_ahead<panels>(group, bytes, end, shape.group_bytes);
#pragma GCC unroll 1
      for (std::size_t v = 0; v < 4; ++v)
#pragma GCC unroll 4
        for (std::size_t p = 0; p < panels; ++p)
#pragma GCC unroll 2
          for (std::size_t h = 0; h < halves; ++h) {
            const CodeBytes codes = unsigned_codes_of<kind>(group + p * bytes, v, h);
#pragma GCC unroll 4
            for (std::size_t r = 0; r < rows; ++r) {
              GroupSum& sum = group_sums[p][h][r];
              if (v % steps_per_scale(kind) == 0) sum.whole = start_of<kind>(x[r], v);
              sum.template add<kind>(codes, x[r], v);
            }
            if ((v + 1) % steps_per_scale(kind) != 0) continue;
            const Scales scales = scales_of<kind>(panel + p * bytes, group + p * bytes, v, h);
#pragma GCC unroll 4
            for (std::size_t r = 0; r < rows; ++r)
              sums[p][h][r] = add_group<has_minimum(kind)>(sums[p][h][r], group_sums[p][h][r].whole,
                                                           scales, x[r]);
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
void few_bytes_rows(float* y, std::size_t ldy, const ByteGroup* x, std::size_t height,
                    const void* panels, std::size_t count, std::size_t k) {
  // Panels with more bytes in a group keep memory as busy two at a time.
  constexpr std::size_t together = lanes != 16 ? 1 : rows <= 2 && !has_two_scales(kind) ? 4 : 2;
  const std::size_t bytes = panel_bytes(kind, k);
  const u8* panel = static_cast<const u8*>(panels);
  std::size_t p = 0;
  for (; count - p >= together; p += together)
    few_bytes<kind, rows, together>(y + p * panel_rows, ldy, x, height, panel + p * bytes, k);
  for (; p < count; ++p)
    few_bytes<kind, rows, 1>(y + p * panel_rows, ldy, x, height, panel + p * bytes, k);
}

// One tile of at most four rows.
template <Panel kind>
void few_bytes_tile(float* y, std::size_t ldy, const ByteGroup* x, std::size_t height,
                    const void* panels, std::size_t count, std::size_t k) {
  if constexpr (byte_rows > 3)
    if (height == 4) return few_bytes_rows<kind, 4>(y, ldy, x, height, panels, count, k);
  if (height >= 2) few_bytes_rows<kind, 2>(y, ldy, x, height, panels, count, k);
  if (height != 2)
    few_bytes_rows<kind, 1>(y + (height - 1) * ldy, ldy, x + (height - 1), height, panels, count,
                            k);
}

// Of kinds with super-blocks, or of those without.
template <bool super>
void few_bytes_of(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                  const void* panels, std::size_t count, std::size_t k) {
  const ByteGroup* rows = static_cast<const ByteGroup*>(x);
  const Cut all = cut(m, byte_rows);
  with_group_kind(kind, [&](auto constant) {
    constexpr Panel value = decltype(constant)::value;
    if constexpr (has_super(value) == super && (byte_kinds & kind_bit(value)) != 0)
      for (std::size_t t = 0; t < all.tiles; ++t) {
        const std::size_t height = all.height(t);
        few_bytes_tile<value>(y, ldy, rows, height, panels, count, k);
        rows += height * (k / group_columns);
        y += height * ldy;
      }
  });
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
