// Tiles of rows by half a panel, row by row.  Included after arm/code_group.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t most_rows_of_tile = 4;

// [4 steps][4 quarters][low, high][16].
inline void store_codes(CodeGroup& out, std::size_t v, std::size_t quarter, SignedCodes codes) {
  vst1q_s8(out.codes + 128 * v + 32 * quarter, codes.low);
  vst1q_s8(out.codes + 128 * v + 32 * quarter + 16, codes.high);
}

// Whole sums of a plane, of steps from `begin` on, for two quarters of a panel.
template <Form form, std::size_t rows, int planes>
inline void add_plane(Sums<form == Form::wide> (&whole)[rows][2], const RowPair<planes>* a,
                      int plane, const i8* codes, std::size_t begin) {
#pragma GCC unroll 4
  for (std::size_t i = 0; i < steps_of<form>; ++i) {
    const std::size_t v = begin + i;
    SignedCodes w[2];
#pragma GCC unroll 2
    for (std::size_t h = 0; h < 2; ++h)
      w[h] = {vld1q_s8(codes + 128 * v + 32 * h), vld1q_s8(codes + 128 * v + 32 * h + 16)};
#pragma GCC unroll 4
    for (std::size_t r = 0; r < rows; ++r) {
      const int8x16_t x = vld1q_s8(a[r / 2].q[plane][v]);
#pragma GCC unroll 2
      for (std::size_t h = 0; h < 2; ++h) whole[r][h].add(w[h], x, r % 2 != 0);
    }
  }
}

template <Form form, std::size_t rows, int planes>
inline void add_steps(int32x4_t (&total)[rows][2], const RowPair<planes>* a, const i8* codes,
                      std::size_t begin) {
#pragma GCC unroll 2
  for (int plane = 0; plane < planes; ++plane) {
    Sums<form == Form::wide> whole[rows][2];
    add_plane<form>(whole, a, plane, codes, begin);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (std::size_t h = 0; h < 2; ++h)
        total[r][h] = plane == 0 ? whole[r][h].total()
                                 : vmlaq_n_s32(whole[r][h].total(), total[r][h], plane_base);
  }
}

// Columns [8 * half, 8 * half + 8) of a panel.
template <Form form, int planes, std::size_t rows>
void half_tile(float* c, std::size_t ldc, const RowPair<planes>* a, const CodeGroup* b,
               std::size_t groups, std::size_t half) {
  constexpr std::size_t pairs = (rows + 1) / 2;
  Vec sums[rows][2];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (std::size_t h = 0; h < 2; ++h) sums[r][h] = load(c + r * ldc + 4 * h);
  for (std::size_t g = 0; g < groups; ++g, a += pairs, ++b)
#pragma GCC unroll 2
    for (std::size_t begin = 0; begin < 4; begin += steps_of<form>) {
      int32x4_t total[rows][2];
      add_steps<form>(total, a, b->codes + 64 * half, begin);
#pragma GCC unroll 2
      for (std::size_t h = 0; h < 2; ++h) {
        const std::size_t row = 8 * half + 4 * h;
        const Scales scales = {load((begin ? b->second_scale : b->scale) + row),
                               form == Form::minimum ? load(b->minus_minimum + row) : Vec{}};
#pragma GCC unroll 4
        for (std::size_t r = 0; r < rows; ++r)
          sums[r][h] =
              add_group < form == Form::minimum > (sums[r][h], total[r][h], scales,
                                                   a[r / 2].scale[r % 2], a[r / 2].sum[r % 2]);
      }
    }
#pragma GCC unroll 4
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (std::size_t h = 0; h < 2; ++h) store(c + r * ldc + 4 * h, sums[r][h]);
}

// b: [groups].
template <Form form, int planes, std::size_t rows>
void product_tile(float* c, std::size_t ldc, const RowPair<planes>* a, const CodeGroup* b,
                  std::size_t groups) {
  half_tile<form, planes, rows>(c, ldc, a, b, groups, 0);
  half_tile<form, planes, rows>(c + 8, ldc, a, b, groups, 1);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
