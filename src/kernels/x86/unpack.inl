// Unpacking of panels by whole registers.  Included after weights.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// Calls f(column, half, Eight) for the groups of columns [first, first + k) of a panel.
template <Panel kind, typename F>
inline void each_eight(const void* panel, std::size_t first, std::size_t k, F f) {
  constexpr PanelShape shape = shape_of(kind);
  constexpr std::size_t groups = shape.unit_columns / group_columns;
  const u8* unit = static_cast<const u8*>(panel) + first / shape.unit_columns * shape.unit_bytes;
  for (std::size_t column = 0; column < k; unit += shape.unit_bytes)
    for (std::size_t g = 0; g < groups; ++g, column += group_columns) {
      const u8* group = unit + shape.head_bytes + g * shape.group_bytes;
      for (std::size_t half = 0; half < halves; ++half) {
        Scales scales;
#pragma GCC unroll 4
        for (std::size_t v = 0; v < 4; ++v) {
          if (v % steps_per_scale(kind) == 0) scales = scales_of<kind>(unit, group, v, half);
          f(column + 8 * v, half, weights_of<kind>(group, v, half, scales));
        }
      }
    }
}

template <Panel kind>
void unpack_groups(void* b, const void* panel, std::size_t first, std::size_t k) {
  float* out = static_cast<float*>(b);
  each_eight<kind>(panel, first, k,
                   [out](std::size_t column, std::size_t half, const Eight& eight) {
                     float* to = out + panel_rows * column + lanes * half;
#pragma GCC unroll 8
                     for (std::size_t c = 0; c < 8; ++c) store(to + panel_rows * c, eight.w[c]);
                   });
}

template <Panel kind>
void unpack_floats(void* b, const void* panel, std::size_t first, std::size_t k) {
  float* out = static_cast<float*>(b);
  for (std::size_t i = 0; i < k; ++i)
    for (std::size_t h = 0; h < halves; ++h)
      store(out + panel_rows * i + lanes * h,
            column_of<kind>(static_cast<const u8*>(panel), first + i, i % 2, h));
}

void unpack(Panel kind, void* b, const void* panel, std::size_t first, std::size_t k) {
  switch (kind) {
    case Panel::f32:
      memcpy(b, static_cast<const float*>(panel) + panel_rows * first, 4 * panel_rows * k);
      return;
    case Panel::f16:
      return unpack_floats<Panel::f16>(b, panel, first, k);
    case Panel::bf16:
      return unpack_floats<Panel::bf16>(b, panel, first, k);
    case Panel::q8_0:
      return unpack_groups<Panel::q8_0>(b, panel, first, k);
    case Panel::q4_0:
      return unpack_groups<Panel::q4_0>(b, panel, first, k);
    case Panel::iq4_nl:
      return unpack_groups<Panel::iq4_nl>(b, panel, first, k);
    case Panel::q5_0:
      return unpack_groups<Panel::q5_0>(b, panel, first, k);
    case Panel::q4_k:
      return unpack_groups<Panel::q4_k>(b, panel, first, k);
    case Panel::q5_k:
      return unpack_groups<Panel::q5_k>(b, panel, first, k);
    case Panel::q6_k:
      return unpack_groups<Panel::q6_k>(b, panel, first, k);
    case Panel::iq4_xs:
      return unpack_groups<Panel::iq4_xs>(b, panel, first, k);
    case Panel::mxfp4:
      return unpack_groups<Panel::mxfp4>(b, panel, first, k);
  }
}

constexpr Gemm many_rows = {
    .tile_rows = tile_rows,
    .element_bytes = 4,
    .k_step = 1,
    .exact = true,
    .pack = pack,
    .unpack = unpack,
    .unpack_rows = unpack_rows,
    .block = block,
};

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
