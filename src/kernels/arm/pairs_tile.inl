// Tiles of pairs of rows by pairs of outputs: an instruction multiplies two rows of eight columns
// by two others.  Included after arm/code_group.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t most_rows_of_tile = 8;
constexpr std::size_t pairs_together = 2;  // of outputs

// [4 steps][8 pairs][2][8].
inline void store_codes(CodeGroup& out, std::size_t v, std::size_t quarter, SignedCodes codes) {
  const int32x4_t low = vreinterpretq_s32_s8(codes.low), high = vreinterpretq_s32_s8(codes.high);
  i8* at = out.codes + 128 * v + 32 * quarter;
  vst1q_s8(at, vreinterpretq_s8_s32(vzip1q_s32(low, high)));
  vst1q_s8(at + 16, vreinterpretq_s8_s32(vzip2q_s32(low, high)));
}

// {a, b, a, b} and {a, a, b, b} of two floats.
inline Vec for_outputs(const float* p) {
  const float32x2_t two = vld1_f32(p);
  return vcombine_f32(two, two);
}
inline Vec for_rows(const float* p) {
  const Vec v = for_outputs(p);
  return vzip1q_f32(v, v);
}

// Two outputs of two rows, of which the second may be missing.
inline Vec load_square(const float* c, std::size_t ldc, bool whole) {
  return vcombine_f32(vld1_f32(c), whole ? vld1_f32(c + ldc) : vdup_n_f32(0));
}
inline void store_square(float* c, std::size_t ldc, bool whole, float32x4_t v) {
  vst1_f32(c, vget_low_f32(v));
  if (whole) vst1_f32(c + ldc, vget_high_f32(v));
}

template <Form form, int planes, std::size_t pairs>
inline void add_steps(int32x4_t (&total)[pairs][pairs_together], const RowPair<planes>* a,
                      const i8* codes, std::size_t begin) {
#pragma GCC unroll 2
  for (int plane = 0; plane < planes; ++plane) {
#pragma GCC unroll 4
    for (std::size_t r = 0; r < pairs; ++r)
#pragma GCC unroll 2
      for (std::size_t n = 0; n < pairs_together; ++n)
        total[r][n] = plane == 0 ? vdupq_n_s32(0) : vmulq_n_s32(total[r][n], plane_base);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < steps_of<form>; ++i) {
      const std::size_t v = begin + i;
      int8x16_t w[pairs_together];
#pragma GCC unroll 2
      for (std::size_t n = 0; n < pairs_together; ++n) w[n] = vld1q_s8(codes + 128 * v + 16 * n);
#pragma GCC unroll 4
      for (std::size_t r = 0; r < pairs; ++r) {
        const int8x16_t x = vld1q_s8(a[r].q[plane][v]);
#pragma GCC unroll 2
        for (std::size_t n = 0; n < pairs_together; ++n)
          total[r][n] = vmmlaq_s32(total[r][n], x, w[n]);
      }
    }
  }
}

// Outputs from `first` on, an even one.
template <Form form, int planes, std::size_t rows>
void narrow_tile(float* c, std::size_t ldc, const RowPair<planes>* a, const CodeGroup* b,
                 std::size_t groups, std::size_t first) {
  constexpr std::size_t pairs = (rows + 1) / 2;
  Vec sums[pairs][pairs_together];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < pairs; ++r)
#pragma GCC unroll 2
    for (std::size_t n = 0; n < pairs_together; ++n)
      sums[r][n] = load_square(c + 2 * r * ldc + first + 2 * n, ldc, 2 * r + 1 < rows);
  for (std::size_t g = 0; g < groups; ++g, a += pairs, ++b)
#pragma GCC unroll 2
    for (std::size_t begin = 0; begin < 4; begin += steps_of<form>) {
      int32x4_t total[pairs][pairs_together];
      add_steps<form>(total, a, b->codes + 8 * first, begin);
#pragma GCC unroll 2
      for (std::size_t n = 0; n < pairs_together; ++n) {
        const std::size_t output = first + 2 * n;
        const Vec scale = for_outputs((begin ? b->second_scale : b->scale) + output);
#pragma GCC unroll 4
        for (std::size_t r = 0; r < pairs; ++r) {
          sums[r][n] =
              multiply_add(vcvtq_f32_s32(total[r][n]), scale * for_rows(a[r].scale), sums[r][n]);
          if (form == Form::minimum)
            sums[r][n] = multiply_add(for_outputs(b->minus_minimum + output), for_rows(a[r].sum),
                                      sums[r][n]);
        }
      }
    }
#pragma GCC unroll 4
  for (std::size_t r = 0; r < pairs; ++r)
#pragma GCC unroll 2
    for (std::size_t n = 0; n < pairs_together; ++n)
      store_square(c + 2 * r * ldc + first + 2 * n, ldc, 2 * r + 1 < rows, sums[r][n]);
}

// b: [groups].
template <Form form, int planes, std::size_t rows>
void product_tile(float* c, std::size_t ldc, const RowPair<planes>* a, const CodeGroup* b,
                  std::size_t groups) {
  for (std::size_t first = 0; first < panel_rows; first += 2 * pairs_together)
    narrow_tile<form, planes, rows>(c, ldc, a, b, groups, first);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
