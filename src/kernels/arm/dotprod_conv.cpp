// Convolution kernels for NEON with products of four bytes.
#define HEARTH_ISA dotprod_conv
#define HEARTH_LANES 4
#define HEARTH_TILE_PLACES 6
#define HEARTH_TILE_WIDE 1
#include "kernels/vectors.inl"
//
#include "kernels/conv.inl"

namespace hearth::kernels::dotprod_conv {
namespace {

inline void finish_bytes(const ByteTile& t, std::size_t p, const int32x4_t (&sums)[4]) {
  const float32x4_t bound = vdupq_n_f32(1e9f);
  for (std::size_t v = 0; v < 4; ++v) {
    const std::size_t at = p * channel_block + 4 * v;
    if (t.sums != nullptr) {
      vst1q_s32(t.sums + at, sums[v]);
      continue;
    }
    float32x4_t s = vmulq_f32(vcvtq_f32_s32(sums[v]), load(t.scale + 4 * v));
    s = vmaxq_f32(vminq_f32(s, bound), vnegq_f32(bound));
    int32x4_t y = vaddq_s32(vcvtnq_s32_f32(s), vdupq_n_s32(t.zero));
    y = vminq_s32(vmaxq_s32(y, vdupq_n_s32(t.low)), vdupq_n_s32(t.high));
    for (std::size_t f = 0; f < 4; ++f) t.y[at + f] = static_cast<u8>(y[f]);
  }
}

// Bytes of x are taken as signed, 128 less; 128 times the weights' sum is put back.
template <std::size_t places>
void byte_places(const ByteTile& t, std::size_t first) {
  int32x4_t sums[places][4], missing[4];
  for (std::size_t v = 0; v < 4; ++v) missing[v] = vdupq_n_s32(0);
  for (std::size_t p = 0; p < places; ++p)
    for (std::size_t v = 0; v < 4; ++v) sums[p][v] = vld1q_s32(t.bias + 4 * v);
  const i8* w = t.w;
  const int8x16_t least = vdupq_n_s8(-128);
  for (std::size_t i = 0; i < t.tap_count; ++i)
    for (std::size_t c = 0; c < 4 * t.quads; c += 4, w += 64) {
      int8x16_t weights[4];
      for (std::size_t v = 0; v < 4; ++v) {
        weights[v] = vld1q_s8(w + 16 * v);
        missing[v] = vdotq_s32(missing[v], weights[v], least);
      }
      for (std::size_t p = 0; p < places; ++p) {
        const u32 quad = load_u32(t.x[first + p] + t.taps[i] + c, 0) ^ 0x80808080u;
        const int8x16_t x = vreinterpretq_s8_u32(vdupq_n_u32(quad));
        for (std::size_t v = 0; v < 4; ++v) sums[p][v] = vdotq_s32(sums[p][v], weights[v], x);
      }
    }
  for (std::size_t p = 0; p < places; ++p) {
    for (std::size_t v = 0; v < 4; ++v) sums[p][v] = vsubq_s32(sums[p][v], missing[v]);
    finish_bytes(t, first + p, sums[p]);
  }
}

void bytes(const ByteTile& t, std::size_t places, std::size_t) {
  for (std::size_t first = 0; first < places; first += 3) byte_places<3>(t, first);
}
static_assert(tile_places == 6);

}  // namespace
}  // namespace hearth::kernels::dotprod_conv

#include "kernels/conv_table.inl"

namespace hearth::kernels {
extern const ConvKernels dotprod_conv_table;
constexpr ConvKernels dotprod_conv_table = dotprod_conv::make_conv_table("dotprod");
}  // namespace hearth::kernels
