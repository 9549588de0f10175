// Many rows, rounded to bytes, by panels of groups.  Included after bytes_tile.inl or
// bytes_tile_words.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// As one tile: [k / 32][m] of ByteGroup.
void pack_bytes_tile(void* a, const float* x, std::size_t ldx, std::size_t m, std::size_t k) {
  ByteGroup* out = static_cast<ByteGroup*>(a);
  for (std::size_t g = 0; g < k / group_columns; ++g)
    for (std::size_t r = 0; r < m; ++r) bytes_group(out++, x + r * ldx + g * group_columns);
}

// A: tile after tile.
void pack_bytes(void* a, const float* x, std::size_t ldx, std::size_t m, std::size_t k) {
  ByteGroup* out = static_cast<ByteGroup*>(a);
  const Cut all = cut(m, byte_rows);
  for (std::size_t t = 0; t < all.tiles; ++t) {
    const std::size_t height = all.height(t);
    pack_bytes_tile(out, x, ldx, height, k);
    out += height * (k / group_columns);
    x += height * ldx;
  }
}

void unpack_bytes(Panel kind, void* b, const void* panel, std::size_t first, std::size_t k) {
  with_group_kind(kind, [=](auto constant) {
    constexpr Panel value = decltype(constant)::value;
    constexpr PanelShape shape = shape_of(value);
    constexpr std::size_t groups = shape.unit_columns / group_columns;
    CodeGroup* out = static_cast<CodeGroup*>(b);
    const u8* unit = static_cast<const u8*>(panel) + first / shape.unit_columns * shape.unit_bytes;
    for (std::size_t i = 0; i < k / group_columns; ++i, ++out) {
      const u8* super = unit + i / groups * shape.unit_bytes;
      const u8* group = super + shape.head_bytes + i % groups * shape.group_bytes;
      for (std::size_t h = 0; h < halves; ++h) {
        for (std::size_t v = 0; v < 4; ++v) {
          const CodeBytes codes = unsigned_codes_of<value>(group, v, h);
          store_bits(out->codes + 128 * v + 4 * lanes * h, codes.low);
          store_bits(out->codes + 128 * v + 64 + 4 * lanes * h, codes.high);
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

template <Form form, std::size_t fold, std::size_t most, std::size_t panels>
void bytes_tile_of(std::size_t rows, float* c, std::size_t ldc, const ByteGroup* a,
                   const CodeGroup* b, const Extent& extent) {
  if (rows == most) return bytes_tile<form, fold, most, panels>(c, ldc, a, b, extent);
  if constexpr (most > 1) bytes_tile_of<form, fold, most - 1, panels>(rows, c, ldc, a, b, extent);
}

// Spreads what is asked for over the groups of the first tiles: one line or more for each.
inline void ask_in_tile(Extent& extent, std::size_t tile, std::size_t tiles, const Ahead& ahead) {
  const std::size_t lines = (ahead.bytes + 63) / 64, all = 2 * lines;
  const std::size_t each = ((all + tiles - 1) / tiles + extent.groups - 1) / extent.groups;
  const std::size_t first = tile * each * extent.groups;
  const std::size_t run = first < lines ? 0 : 1;
  extent.lines = first < all ? each : 0;
  extent.ahead = static_cast<const u8*>(ahead.at[run]) + 64 * (first - run * lines);
}

// The panels of a tile stay in the first-level cache while the rows come from the second.
template <Form form, std::size_t fold>
void bytes_blocks(float* c, std::size_t ldc, const ByteGroup* a, const CodeGroup* b, std::size_t m,
                  std::size_t panels, Extent extent, const Ahead* ahead) {
  const Cut all = cut(m, byte_rows);
  for (std::size_t p = 0; p < panels; p += byte_panels) {
    const ByteGroup* rows = a;
    const CodeGroup* weights = b + p * extent.groups;
    float* out = c + p * panel_rows;
    for (std::size_t t = 0; t < all.tiles; ++t) {
      const std::size_t height = all.height(t);
      if (ahead != nullptr) ask_in_tile(extent, t, all.tiles, *ahead);
      if (panels - p >= byte_panels)
        bytes_tile_of<form, fold, byte_rows, byte_panels>(height, out, ldc, rows, weights, extent);
      else
        bytes_tile_of<form, fold, byte_rows, 1>(height, out, ldc, rows, weights, extent);
      rows += height * extent.groups;
      out += height * ldc;
    }
  }
}

void block_bytes(Panel kind, float* c, std::size_t ldc, const void* a, const void* b, std::size_t m,
                 std::size_t k, std::size_t panels, const Ahead* ahead) {
  const auto go = [=](auto blocks) {
    const Offset offset = offset_of(kind);
    const Extent extent = {.groups = k / group_columns,
                           .start = offset == Offset::none ? 5 : start_index(offset, 0),
                           .ahead = nullptr,
                           .lines = 0};
    blocks(c, ldc, static_cast<const ByteGroup*>(a), static_cast<const CodeGroup*>(b), m, panels,
           extent, ahead);
  };
  const bool narrow = lines_together(kind) == 8;
  if (has_minimum(kind))
    go(narrow ? bytes_blocks<Form::minimum, 8> : bytes_blocks<Form::minimum, most_lines(4)>);
  else if (kind == Panel::grid)
    go(bytes_blocks<Form::two_scales_twice, most_lines(2)>);
  else if (kind == Panel::q6_k)
    go(bytes_blocks<Form::two_scales, most_lines(2)>);
  else
    go(narrow ? bytes_blocks<Form::scale, 8> : bytes_blocks<Form::scale, most_lines(4)>);
}

constexpr Gemm bytes_with(decltype(Gemm::few) few, std::size_t most_few) {
  return {
      .kinds = byte_kinds,
      .most_rows = 264,
      .most_panels = byte_panels,
      .tile_rows = byte_rows,
      .k_step = group_columns,
      .a_step_bytes = sizeof(ByteGroup),
      .b_step_bytes = sizeof(CodeGroup),
      .tolerance = 2e-2f,
      .pack = pack_bytes,
      .unpack = unpack_bytes,
      .unpack_rows = nullptr,
      .block = block_bytes,
      .few = few,
      .most_few = most_few,
      .pack_few = pack_bytes_tile,
  };
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
