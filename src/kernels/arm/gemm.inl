// Rows by panels of groups that were unpacked: what surrounds the tiles.  Included after
// arm/rows_tile.inl or arm/pairs_tile.inl, which give most_rows_of_tile, store_codes() and
// product_tile().

namespace hearth::kernels::HEARTH_ISA {
namespace {

// A: tile after tile.
template <int planes>
void pack_rows(void* a, const float* x, std::size_t ldx, std::size_t m, std::size_t k) {
  RowPair<planes>* out = static_cast<RowPair<planes>*>(a);
  const Cut all = cut(m, most_rows_of_tile);
  for (std::size_t t = 0; t < all.tiles; ++t) {
    const std::size_t height = all.height(t);
    pack_tile<planes>(out, x, ldx, height, k);
    out += (height + 1) / 2 * (k / group_columns);
    x += height * ldx;
  }
}

void unpack_codes(Panel kind, void* b, const void* panel, std::size_t first, std::size_t k) {
  with_group_kind(kind, [=](auto constant) {
    constexpr Panel value = decltype(constant)::value;
    constexpr PanelShape shape = shape_of(value);
    constexpr std::size_t groups = shape.unit_columns / group_columns;
    CodeGroup* out = static_cast<CodeGroup*>(b);
    const u8* unit = static_cast<const u8*>(panel) + first / shape.unit_columns * shape.unit_bytes;
    for (std::size_t i = 0; i < k / group_columns; ++i, ++out) {
      const u8* super = unit + i / groups * shape.unit_bytes;
      const u8* group = super + shape.head_bytes + i % groups * shape.group_bytes;
      for (std::size_t h = 0; h < 4; ++h) {
        for (std::size_t v = 0; v < 4; ++v)
          store_codes(*out, v, h, signed_codes_of<value>(group, v, h));
        const Scales scales = scales_of<value>(super, group, 0, h);
        store(out->scale + lanes * h, scales.scale);
        if (has_minimum(value)) store(out->minus_minimum + lanes * h, scales.minus_minimum);
        if (has_two_scales(value))
          store(out->second_scale + lanes * h, scales_of<value>(super, group, 2, h).scale);
      }
    }
  });
}

template <Form form, int planes, std::size_t most>
void tile_of_rows(std::size_t rows, float* c, std::size_t ldc, const RowPair<planes>* a,
                  const CodeGroup* b, std::size_t groups) {
  if (rows == most) return product_tile<form, planes, most>(c, ldc, a, b, groups);
  if constexpr (most > 1) tile_of_rows<form, planes, most - 1>(rows, c, ldc, a, b, groups);
}

// The panels of a tile stay in the first-level cache while the rows come from the second.
template <Form form, int planes>
void blocks(float* c, std::size_t ldc, const RowPair<planes>* a, const CodeGroup* b, std::size_t m,
            std::size_t groups, std::size_t panels) {
  const Cut all = cut(m, most_rows_of_tile);
  for (std::size_t p = 0; p < panels; ++p, b += groups) {
    const RowPair<planes>* rows = a;
    float* out = c + p * panel_rows;
    for (std::size_t t = 0; t < all.tiles; ++t) {
      const std::size_t height = all.height(t);
      tile_of_rows<form, planes, most_rows_of_tile>(height, out, ldc, rows, b, groups);
      rows += (height + 1) / 2 * groups;
      out += height * ldc;
    }
  }
}

template <int planes>
void block_of(Panel kind, float* c, std::size_t ldc, const void* a, const void* b, std::size_t m,
              std::size_t k, std::size_t panels, const Ahead*) {
  const auto go = [=](auto way) {
    way(c, ldc, static_cast<const RowPair<planes>*>(a), static_cast<const CodeGroup*>(b), m,
        k / group_columns, panels);
  };
  switch (form_of(kind)) {
    case Form::scale:
      return go(blocks<Form::scale, planes>);
    case Form::wide:
      return go(blocks<Form::wide, planes>);
    case Form::minimum:
      return go(blocks<Form::minimum, planes>);
    case Form::two_scales:
      return go(blocks<Form::two_scales, planes>);
  }
}

// Several rows: some groups at a time are unpacked into the first-level cache.
template <int planes>
void several_rows_of(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                     const void* panels, std::size_t count, std::size_t k) {
  alignas(64) CodeGroup weights[super_columns / group_columns];
  const u8* panel = static_cast<const u8*>(panels);
  for (std::size_t p = 0; p < count; ++p, panel += panel_bytes(kind, k), y += panel_rows) {
    for (std::size_t i = 0; i < m; ++i) memset(y + i * ldy, 0, panel_rows * sizeof(float));
    const RowPair<planes>* rows = static_cast<const RowPair<planes>*>(x);
    for (std::size_t first = 0; first < k; first += super_columns) {
      const std::size_t columns = k - first < super_columns ? k - first : super_columns;
      unpack_codes(kind, weights, panel, first, columns);
      block_of<planes>(kind, y, ldy, rows, weights, m, columns, 1, nullptr);
      rows += (m + 1) / 2 * (columns / group_columns);
    }
  }
}
static_assert(few_rows <= most_rows_of_tile, "few rows are one tile");

template <int planes>
constexpr Gemm grouped_gemm(decltype(Gemm::few) few) {
  return {
      .kinds = group_kinds,
      .most_rows = planes == 1 ? 264 : 160,
      .most_panels = 1,
      .tile_rows = most_rows_of_tile,
      .k_step = group_columns,
      .a_step_bytes = sizeof(RowPair<planes>) / 2,
      .b_step_bytes = sizeof(CodeGroup),
      .tolerance = planes == 1 ? 2e-2f : 1e-4f,
      .pack = pack_rows<planes>,
      .unpack = unpack_codes,
      .unpack_rows = nullptr,
      .block = block_of<planes>,
      .few = few,
      .most_few = few_rows,
      .pack_few = pack_tile<planes>,
  };
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
