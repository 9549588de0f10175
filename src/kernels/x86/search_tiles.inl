// Products of bytes by AMX tiles.  The includer defines `Tiles` and its four functions (amx.cpp,
// amx_emulated.cpp).  Tiles 0 to 3: sums of 2 x 2; 4, 5: rows; 6, 7: panels.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t tile_side = 16;

// 16 rows, stride bytes apart.
struct RowTile {
  const u8* rows;
  std::size_t stride;
};

template <std::size_t heights, std::size_t widths>
inline void tile_products(Tiles& tiles, const RowTile* a, const i8* const* b, std::size_t dim) {
  zero_tiles(tiles);
  for (std::size_t j = 0; j < dim; j += panel_step) {
    load_tile<4>(tiles, a[0].rows + j, a[0].stride);
    if constexpr (heights == 2) load_tile<5>(tiles, a[1].rows + j, a[1].stride);
    load_tile<6>(tiles, b[0] + j * byte_panel_rows, 64);
    if constexpr (widths == 2) load_tile<7>(tiles, b[1] + j * byte_panel_rows, 64);
    add_tile_products<0, 4, 6>(tiles);
    if constexpr (widths == 2) add_tile_products<1, 4, 7>(tiles);
    if constexpr (heights == 2) add_tile_products<2, 5, 6>(tiles);
    if constexpr (heights == 2 && widths == 2) add_tile_products<3, 5, 7>(tiles);
  }
}

template <std::size_t heights>
inline void tile_strip(Tiles& tiles, std::int32_t* out, std::size_t ldo, const RowTile* a,
                       const i8* panels, std::size_t count, std::size_t dim) {
  const std::size_t bytes = ldo * sizeof(std::int32_t);
  for (std::size_t p = 0; p < count; p += 2) {
    const i8* panel = panels + p * byte_panel_rows * dim;
    const i8* b[2] = {panel, panel + byte_panel_rows * dim};
    std::int32_t* c = out + p * byte_panel_rows;
    if (count - p >= 2) {
      tile_products<heights, 2>(tiles, a, b, dim);
      store_tile<1>(tiles, c + tile_side, bytes);
      if constexpr (heights == 2) store_tile<3>(tiles, c + tile_side * ldo + tile_side, bytes);
    } else {
      tile_products<heights, 1>(tiles, a, b, dim);
    }
    store_tile<0>(tiles, c, bytes);
    if constexpr (heights == 2) store_tile<2>(tiles, c + tile_side * ldo, bytes);
  }
}

void tile_dots_panels(std::int32_t* out, std::size_t ldo, const u8* rows, std::size_t stride,
                      std::size_t m, const i8* panels, std::size_t count, std::size_t dim) {
  const std::size_t whole = m / tile_side * tile_side;
  if (whole != 0) {
    Tiles tiles;
    open_tiles(tiles);
    std::size_t i = 0;
    for (; whole - i >= 2 * tile_side; i += 2 * tile_side) {
      const RowTile a[2] = {{rows + i * stride, stride}, {rows + (i + tile_side) * stride, stride}};
      tile_strip<2>(tiles, out + i * ldo, ldo, a, panels, count, dim);
    }
    if (i < whole) {
      const RowTile a[1] = {{rows + i * stride, stride}};
      tile_strip<1>(tiles, out + i * ldo, ldo, a, panels, count, dim);
    }
    close_tiles(tiles);
  }
  if (whole < m)
    wide_dots_panels(out + whole * ldo, ldo, rows + whole * stride, stride, m - whole, panels,
                     count, dim);
}

constexpr auto dots_panels = tile_dots_panels;

void nearest(LaneMinima* minima, const u8* rows, std::size_t stride, const float* factors,
             std::size_t m, const i8* panels, const float* terms, const std::int32_t* offsets,
             std::uint32_t column, std::size_t count, std::size_t dim) {
  nearest_by(tile_dots_panels, minima, rows, stride, factors, m, panels, terms, offsets, column,
             count, dim);
}

float panel_keys(float* keys, const u8* row, float factor, const i8* panels, const float* terms,
                 const std::int32_t* offsets, std::size_t count, std::size_t dim) {
  return panel_keys_by(wide_dots_panels, keys, row, factor, panels, terms, offsets, count, dim);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
