// Many rows by panels of groups.  Included after rounded.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr u8 slot_order[8] = {0, 2, 4, 6, 1, 3, 5, 7};

// Below this nothing would be left of a scale: such a group counts as zeros.
constexpr float least_magnitude = 1e-30f;

// What is not finite makes the whole group so, and every product with it.
void round_group(RoundedGroup* out, const float* x) {
  float largest_of_all = 0, not_finite = 0;
  for (std::size_t i = 0; i < group_columns; ++i) {
    const float magnitude = fabsf(x[i]);
    largest_of_all = magnitude > largest_of_all ? magnitude : largest_of_all;
    not_finite += x[i] * 0.0f;
  }
  memset(out, 0, sizeof *out);
  out->scale = out->sum = not_finite;
  if (not_finite != 0 || !(largest_of_all > least_magnitude)) return;
  const float inverse = 32767.0f / largest_of_all;
  float whole[group_columns];
  for (std::size_t i = 0; i < group_columns; ++i)
    whole[i] = (x[i] * inverse + 0x1.8p23f) - 0x1.8p23f;  // to the nearest, ties to even
  std::int32_t sums[2] = {0, 0};
  for (std::size_t i = 0; i < group_columns; ++i)
    sums[i / 16] += static_cast<std::int32_t>(whole[i]);
  for (std::size_t v = 0; v < group_columns; v += 8)
    for (std::size_t i = 0; i < 8; ++i)
      out->q[v + i] = static_cast<std::int16_t>(whole[v + slot_order[i]]);
  out->scale = largest_of_all / 32767.0f;
  out->sum = out->scale * static_cast<float>(sums[0] + sums[1]);
  out->minus_sum = -(sums[0] + sums[1]);
  out->minus_first = -sums[0];
}

// A: tile after tile, each [k / 32][height] of RoundedGroup.
void pack_rounded(void* a, const float* x, std::size_t ldx, std::size_t m, std::size_t k) {
  RoundedGroup* out = static_cast<RoundedGroup*>(a);
  const Cut all = cut(m, rounded_rows);
  for (std::size_t t = 0; t < all.tiles; ++t) {
    const std::size_t height = all.height(t);
    for (std::size_t g = 0; g < k / group_columns; ++g)
      for (std::size_t r = 0; r < height; ++r) round_group(out++, x + r * ldx + g * group_columns);
    x += height * ldx;
  }
}

// Weights of one panel and group: words [4 steps][4 pairs][16 rows], then factors [16] each.
struct WordGroup {
  std::int16_t words[group_columns * panel_rows];
  float scale[panel_rows], minus_minimum[panel_rows];
  float second_scale[panel_rows];  // of the last 16 columns, where they have their own
};
static_assert(sizeof(WordGroup) == 1216);

void unpack_rounded(Panel kind, void* b, const void* panel, std::size_t first, std::size_t k) {
  with_group_kind(kind, [=](auto constant) {
    constexpr Panel value = decltype(constant)::value;
    constexpr PanelShape shape = shape_of(value);
    constexpr std::size_t groups = shape.unit_columns / group_columns;
    constexpr short offset = static_cast<short>(offset_bits(value) ? 1 << offset_bits(value) : 0);
    WordGroup* out = static_cast<WordGroup*>(b);
    const u8* unit = static_cast<const u8*>(panel) + first / shape.unit_columns * shape.unit_bytes;
    for (std::size_t i = 0; i < k / group_columns; ++i, ++out) {
      const u8* super = unit + i / groups * shape.unit_bytes;
      const u8* group = super + shape.head_bytes + i % groups * shape.group_bytes;
      for (std::size_t h = 0; h < halves; ++h) {
        for (std::size_t v = 0; v < 4; ++v) {
          const Words words = words_of<value>(group, v, h);
          for (std::size_t j = 0; j < 4; ++j)
            store_bits(out->words + 32 * (4 * v + j) + 2 * lanes * h,
                       offset ? minus_words(words.w[j], all_words(offset)) : words.w[j]);
        }
        const Scales scales = scales_of<value>(super, group, 0, h);
        store(out->scale + lanes * h, scales.scale);
        if (has_minimum(value)) store(out->minus_minimum + lanes * h, scales.minus_minimum);
        if (steps_per_scale(value) == 2)
          store(out->second_scale + lanes * h, scales_of<value>(super, group, 2, h).scale);
      }
    }
  });
}

// How a kind's groups end.
enum class Ends { scale, minimum, two_scales };

// b: panels [k / 32] of WordGroup, one after another.
template <Ends ends, std::size_t rows, std::size_t panels>
void rounded_tile(float* c, std::size_t ldc, const RoundedGroup* a, const WordGroup* b,
                  std::size_t groups) {
  constexpr std::size_t vectors = panels * halves;
  constexpr std::size_t steps = ends == Ends::two_scales ? 2 : 4;
  Vec sums[rows][vectors];
#pragma GCC unroll 6
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < vectors; ++v) sums[r][v] = load(c + r * ldc + v * lanes);
  for (std::size_t g = 0; g < groups; ++g, a += rows, ++b)
#pragma GCC unroll 1
    for (std::size_t part = 0; part < 4 / steps; ++part) {
      Bits whole[rows][vectors];
#pragma GCC unroll 6
      for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
        for (std::size_t v = 0; v < vectors; ++v) whole[r][v] = all_ints(0);
#pragma GCC unroll 2
      for (std::size_t j = 4 * steps * part; j < 4 * steps * (part + 1); ++j) {
        Bits w[vectors];
#pragma GCC unroll 2
        for (std::size_t v = 0; v < vectors; ++v)
          w[v] = load_bits(reinterpret_cast<const u8*>(b[v / halves * groups].words) + 64 * j +
                           4 * lanes * (v % halves));
#pragma GCC unroll 6
        for (std::size_t r = 0; r < rows; ++r) {
          const Bits x = load_pair(a[r], j);
#pragma GCC unroll 2
          for (std::size_t v = 0; v < vectors; ++v)
            whole[r][v] = add_products(whole[r][v], w[v], x);
        }
      }
#pragma GCC unroll 2
      for (std::size_t v = 0; v < vectors; ++v) {
        const WordGroup& group = b[v / halves * groups];
        const std::size_t row = lanes * (v % halves);
        const Scales scales = {load((part ? group.second_scale : group.scale) + row),
                               ends == Ends::minimum ? load(group.minus_minimum + row) : Vec{}};
#pragma GCC unroll 6
        for (std::size_t r = 0; r < rows; ++r)
          sums[r][v] = add_group < ends == Ends::minimum > (sums[r][v], whole[r][v], scales, a[r]);
      }
    }
#pragma GCC unroll 6
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < vectors; ++v) store(c + r * ldc + v * lanes, sums[r][v]);
}

template <Ends ends, std::size_t most, std::size_t panels>
void rounded_tile_of(std::size_t rows, float* c, std::size_t ldc, const RoundedGroup* a,
                     const WordGroup* b, std::size_t groups) {
  if (rows == most) return rounded_tile<ends, most, panels>(c, ldc, a, b, groups);
  if constexpr (most > 1) rounded_tile_of<ends, most - 1, panels>(rows, c, ldc, a, b, groups);
}

template <Ends ends>
void rounded_blocks(float* c, std::size_t ldc, const RoundedGroup* a, const WordGroup* b,
                    std::size_t m, std::size_t groups, std::size_t panels) {
  const Cut all = cut(m, rounded_rows);
  for (std::size_t t = 0; t < all.tiles; ++t) {
    const std::size_t height = all.height(t);
    for (std::size_t p = 0; p < panels; p += rounded_panels) {
      float* out = c + p * panel_rows;
      if (panels - p >= rounded_panels)
        rounded_tile_of<ends, rounded_rows, rounded_panels>(height, out, ldc, a, b + p * groups,
                                                            groups);
      else
        rounded_tile_of<ends, rounded_rows, 1>(height, out, ldc, a, b + p * groups, groups);
    }
    a += height * groups;
    c += height * ldc;
  }
}

void block_rounded(Panel kind, float* c, std::size_t ldc, const void* a, const void* b,
                   std::size_t m, std::size_t k, std::size_t panels, const Ahead*) {
  const RoundedGroup* rows = static_cast<const RoundedGroup*>(a);
  const WordGroup* weights = static_cast<const WordGroup*>(b);
  const std::size_t groups = k / group_columns;
  if (has_minimum(kind))
    rounded_blocks<Ends::minimum>(c, ldc, rows, weights, m, groups, panels);
  else if (has_two_scales(kind))
    rounded_blocks<Ends::two_scales>(c, ldc, rows, weights, m, groups, panels);
  else
    rounded_blocks<Ends::scale>(c, ldc, rows, weights, m, groups, panels);
}

constexpr Gemm rounded_with(decltype(Gemm::few) few) {
  return {
      .kinds = group_kinds,
      .most_rows = 480,
      .most_panels = 8,
      .tile_rows = rounded_rows,
      .k_step = group_columns,
      .a_step_bytes = sizeof(RoundedGroup),
      .b_step_bytes = sizeof(WordGroup),
      .tolerance = 1e-4f,
      .pack = pack_rounded,
      .unpack = unpack_rounded,
      .unpack_rows = nullptr,
      .block = block_rounded,
      .few = few,
      .most_few = few_rows,
      .pack_few = pack_rounded,
  };
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
