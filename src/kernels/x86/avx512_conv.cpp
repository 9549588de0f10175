// Convolution kernels for AVX-512 (F, BW, DQ, VL, VNNI).
#define HEARTH_ISA avx512_conv
#define HEARTH_LANES 16
#define HEARTH_TILE_PLACES 14
#define HEARTH_TILE_WIDE 2
#include "kernels/vectors.inl"
//
#include "kernels/conv.inl"

namespace hearth::kernels::avx512_conv {
namespace {

template <std::size_t places, std::size_t blocks>
void byte_tile(const ByteTile& t) {
  __m512i sums[places][blocks];
  for (std::size_t p = 0; p < places; ++p)
    for (std::size_t b = 0; b < blocks; ++b) sums[p][b] = _mm512_loadu_si512(t.bias + 16 * b);
  const u8* x[places];
  for (std::size_t p = 0; p < places; ++p) x[p] = t.x[p];
  const i8* w = t.w;
  for (std::size_t i = 0; i < t.tap_count; ++i) {
    const std::ptrdiff_t first = t.taps[i];
    const auto end = first + static_cast<std::ptrdiff_t>(4 * t.quads);
    for (std::ptrdiff_t c = first; c < end; c += 4, w += blocks * 64) {
      __m512i weights[blocks];
      for (std::size_t b = 0; b < blocks; ++b) weights[b] = _mm512_loadu_si512(w + 64 * b);
      for (std::size_t p = 0; p < places; ++p) {
        std::int32_t quad;
        memcpy(&quad, x[p] + c, sizeof quad);
        const __m512i value = _mm512_set1_epi32(quad);
        for (std::size_t b = 0; b < blocks; ++b)
          sums[p][b] = _mm512_dpbusd_epi32(sums[p][b], value, weights[b]);
      }
    }
  }
  const Vec bound = splat(1e6f), nearest = splat(12582912.0f);  // 1.5 * 2^23: sums round to whole
  for (std::size_t b = 0; b < blocks; ++b)
    for (std::size_t p = 0; p < places; ++p) {
      if (t.sums != nullptr) {
        memcpy(t.sums + b * t.y_block + p * 16, &sums[p][b], sizeof sums[p][b]);
        continue;
      }
      Ints sum;
      memcpy(&sum, &sums[p][b], sizeof sum);
      Vec s = __builtin_convertvector(sum, Vec) * load(t.scale + 16 * b);
      s = vector_max(vector_min(s, bound), -bound);
      const Vec whole = (s + nearest) - nearest;
      Ints y = __builtin_convertvector(whole, Ints) + t.zero;
      y = y < t.low ? t.low - Ints{} : y;
      y = y > t.high ? t.high - Ints{} : y;
      typedef u8 Bytes __attribute__((vector_size(16)));
      const Bytes cut = __builtin_convertvector(y, Bytes);
      memcpy(t.y + b * t.y_block + p * 16, &cut, sizeof cut);
    }
}

void bytes(const ByteTile& t, std::size_t places, std::size_t blocks) {
  if (places == tile_places)
    blocks == tile_wide ? byte_tile<tile_places, tile_wide>(t) : byte_tile<tile_places, 1>(t);
  else
    blocks == tile_wide ? byte_tile<tile_places / 2, tile_wide>(t)
                        : byte_tile<tile_places / 2, 1>(t);
}

}  // namespace
}  // namespace hearth::kernels::avx512_conv

#include "kernels/conv_table.inl"

namespace hearth::kernels {
extern const ConvKernels avx512_conv_table;
constexpr ConvKernels avx512_conv_table = avx512_conv::make_conv_table("avx512");
}  // namespace hearth::kernels
