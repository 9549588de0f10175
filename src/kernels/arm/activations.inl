// Activations rounded to whole numbers, one scale for each group of columns, in planes of bytes:
// one plane of 8 bits, or two that make nearly 16.  Sums within a group are whole numbers and
// exact, and groups are added in ascending order, so that all ways give the same bits.  Included
// after arm/codes.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// x = scale * q, or scale * (plane_base * q[0] + q[1]).  No q is below -127, which leaves room for
// two products by any byte in 16 bits.
constexpr std::int32_t plane_base = 255;
constexpr float greatest_whole(int planes) { return planes == 1 ? 127 : 127 * plane_base + 127; }

// Two rows of one group; of an odd last one the second is zero.
template <int planes>
struct RowPair {
  i8 q[planes][4][16];  // step v: columns 8v to 8v + 7 of the first row, then of the second
  float scale[2];
  float sum[2];  // of the rounded activations
};
static_assert(sizeof(RowPair<1>) == 80 && sizeof(RowPair<2>) == 144);

// Below this nothing would be left of a scale: such a group counts as zeros.
constexpr float least_magnitude = 1e-30f;

// The largest magnitude of a group; what is not a number is larger than all.
inline float largest_magnitude(const float* x) {
  uint32x4_t top = vdupq_n_u32(0);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < group_columns; i += lanes)
    top = vmaxq_u32(top, vreinterpretq_u32_f32(vabsq_f32(load(x + i))));
  return float_of_bits(vmaxvq_u32(top));
}

// Eight whole numbers to the planes' bytes.
template <int planes>
inline void store_step(RowPair<planes>& out, std::size_t v, std::size_t second, int32x4_t first,
                       int32x4_t last) {
  const auto store_plane = [&](int plane, int32x4_t a, int32x4_t b) {
    vst1_s8(out.q[plane][v] + 8 * second, vmovn_s16(vcombine_s16(vmovn_s32(a), vmovn_s32(b))));
  };
  if constexpr (planes == 1) return store_plane(0, first, last);
  const auto upper = [](int32x4_t q) {
    return vcvtnq_s32_f32(vmulq_n_f32(vcvtq_f32_s32(q), 1.0f / plane_base));
  };
  const int32x4_t a = upper(first), b = upper(last);
  store_plane(0, a, b);
  store_plane(1, vmlsq_n_s32(first, a, plane_base), vmlsq_n_s32(last, b, plane_base));
}

template <int planes>
inline void clear_row(RowPair<planes>& out, std::size_t second) {
  for (auto& plane : out.q)
    for (auto& step : plane) memset(step + 8 * second, 0, 8);
  out.scale[second] = out.sum[second] = 0;
}

// What is not finite makes the whole group so, and every product with it.
template <int planes>
void round_row(RowPair<planes>& out, std::size_t second, const float* x) {
  const float top = largest_magnitude(x);
  clear_row(out, second);
  out.scale[second] = out.sum[second] = top * 0.0f;
  if (!(top > least_magnitude && top <= __FLT_MAX__)) return;
  const float inverse = greatest_whole(planes) / top;
  int32x4_t sums = vdupq_n_s32(0);
#pragma GCC unroll 4
  for (std::size_t v = 0; v < 4; ++v) {
    const int32x4_t first = vcvtnq_s32_f32(vmulq_n_f32(load(x + 8 * v), inverse));
    const int32x4_t last = vcvtnq_s32_f32(vmulq_n_f32(load(x + 8 * v + 4), inverse));
    store_step(out, v, second, first, last);
    sums = vaddq_s32(sums, vaddq_s32(first, last));
  }
  out.scale[second] = top / greatest_whole(planes);
  out.sum[second] = out.scale[second] * static_cast<float>(vaddvq_s32(sums));
}

// As one tile: [k / 32][(m + 1) / 2] of RowPair.
template <int planes>
void pack_tile(void* a, const float* x, std::size_t ldx, std::size_t m, std::size_t k) {
  RowPair<planes>* out = static_cast<RowPair<planes>*>(a);
  for (std::size_t first = 0; first < k; first += group_columns)
    for (std::size_t row = 0; row < m; row += 2, ++out) {
      round_row(*out, 0, x + row * ldx + first);
      if (row + 1 < m)
        round_row(*out, 1, x + (row + 1) * ldx + first);
      else
        clear_row(*out, 1);
    }
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
