// Sums of products of bytes, four columns of four rows at a time: by the instruction for it, or by
// products of 16 bits.  Included after arm/activations.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// Weights of so many bits that only two products fit 16.
constexpr bool is_wide(Panel kind) {
  return kind == Panel::q8_0 || kind == Panel::iq4_nl || kind == Panel::iq4_xs;
}

#if defined(__ARM_FEATURE_DOTPROD)

template <bool wide>
struct Sums {
  int32x4_t rows = vdupq_n_s32(0);

  // x: a step of a RowPair, `second` says of which row.
  void add(SignedCodes w, int8x16_t x, bool second) {
    if (second) {
      rows = vdotq_laneq_s32(rows, w.low, x, 2);
      rows = vdotq_laneq_s32(rows, w.high, x, 3);
    } else {
      rows = vdotq_laneq_s32(rows, w.low, x, 0);
      rows = vdotq_laneq_s32(rows, w.high, x, 1);
    }
  }
  int32x4_t total() const { return rows; }
};

#else

struct Repeated {
  int8x16_t low, high;  // four columns each, four times
};
inline Repeated repeat_columns(int8x16_t x, bool second) {
  const int32x4_t fours = vreinterpretq_s32_s8(x);
  if (second)
    return {vreinterpretq_s8_s32(vdupq_laneq_s32(fours, 2)),
            vreinterpretq_s8_s32(vdupq_laneq_s32(fours, 3))};
  return {vreinterpretq_s8_s32(vdupq_laneq_s32(fours, 0)),
          vreinterpretq_s8_s32(vdupq_laneq_s32(fours, 1))};
}

template <bool wide>
struct Sums {
  // Rows 0 and 1, rows 2 and 3.  A lane takes one product a line, at most eight: no more than 31 *
  // 127 each for 32 columns, and 43 * 127 for kinds that are summed by 16.
  int16x8_t first = vdupq_n_s16(0), last = vdupq_n_s16(0);

  void add(SignedCodes w, int8x16_t x, bool second) {
    const Repeated r = repeat_columns(x, second);
    first = vmlal_s8(first, vget_low_s8(w.low), vget_low_s8(r.low));
    last = vmlal_high_s8(last, w.low, r.low);
    first = vmlal_s8(first, vget_low_s8(w.high), vget_low_s8(r.high));
    last = vmlal_high_s8(last, w.high, r.high);
  }
  int32x4_t total() const { return vpaddq_s32(vpaddlq_s16(first), vpaddlq_s16(last)); }
};

template <>
struct Sums<true> {
  int32x4_t first = vdupq_n_s32(0), last = vdupq_n_s32(0);

  void add(SignedCodes w, int8x16_t x, bool second) {
    const Repeated r = repeat_columns(x, second);
    const int16x8_t a = vmull_s8(vget_low_s8(w.low), vget_low_s8(r.low));
    const int16x8_t b = vmull_high_s8(w.low, r.low);
    first = vpadalq_s16(first, vmlal_s8(a, vget_low_s8(w.high), vget_low_s8(r.high)));
    last = vpadalq_s16(last, vmlal_high_s8(b, w.high, r.high));
  }
  int32x4_t total() const { return vpaddq_s32(first, last); }
};

#endif

// Of one plane, or of two.
template <int planes, bool wide>
inline int32x4_t total_of(const Sums<wide> (&sums)[planes]) {
  if constexpr (planes == 1) return sums[0].total();
  return vmlaq_n_s32(sums[planes - 1].total(), sums[0].total(), plane_base);
}

// Adds a group's whole sums to the sums in floats.
template <bool minimum>
inline Vec add_group(Vec sum, int32x4_t whole, const Scales& scales, float scale, float x_sum) {
  sum = multiply_add(vcvtq_f32_s32(whole), scales.scale * splat(scale), sum);
  return minimum ? multiply_add(scales.minus_minimum, splat(x_sum), sum) : sum;
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
