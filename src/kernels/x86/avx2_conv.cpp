// Convolution kernels for AVX2 with fused multiply-add.
#define HEARTH_ISA avx2_conv
#define HEARTH_LANES 8
#define HEARTH_TILE_PLACES 6
#define HEARTH_TILE_WIDE 1
#include "kernels/vectors.inl"
//
#include "kernels/conv.inl"

namespace hearth::kernels::avx2_conv {
namespace {

// Sums of pairs in 16 bits would overflow for x of eight bits: even and odd channels apart.
template <std::size_t places>
void byte_tile(const ByteTile& t) {
  __m256i sums[places][2];
  for (std::size_t p = 0; p < places; ++p)
    for (std::size_t v = 0; v < 2; ++v)
      sums[p][v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(t.bias + 8 * v));
  const i8* w = t.w;
  const __m256i low_bytes = _mm256_set1_epi16(0xFF);
  for (std::size_t i = 0; i < t.tap_count; ++i)
    for (std::size_t c = 0; c < 4 * t.quads; c += 4, w += 64) {
      __m256i even[2], odd[2];
      for (std::size_t v = 0; v < 2; ++v) {
        const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + 32 * v));
        even[v] = _mm256_srai_epi16(_mm256_slli_epi16(both, 8), 8);
        odd[v] = _mm256_srai_epi16(both, 8);
      }
      for (std::size_t p = 0; p < places; ++p) {
        std::int32_t quad;
        memcpy(&quad, t.x[p] + t.taps[i] + c, sizeof quad);
        const __m256i x = _mm256_set1_epi32(quad);
        const __m256i a = _mm256_and_si256(x, low_bytes), b = _mm256_srli_epi16(x, 8);
        for (std::size_t v = 0; v < 2; ++v) {
          sums[p][v] = _mm256_add_epi32(sums[p][v], _mm256_madd_epi16(a, even[v]));
          sums[p][v] = _mm256_add_epi32(sums[p][v], _mm256_madd_epi16(b, odd[v]));
        }
      }
    }
  const __m256 bound = _mm256_set1_ps(1e9f);
  for (std::size_t p = 0; p < places; ++p) {
    if (t.sums != nullptr) {
      memcpy(t.sums + p * 16, sums[p], sizeof sums[p]);
      continue;
    }
    std::int32_t values[16];
    for (std::size_t v = 0; v < 2; ++v) {
      __m256 s = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[p][v]), _mm256_loadu_ps(t.scale + 8 * v));
      s = _mm256_max_ps(_mm256_min_ps(s, bound), _mm256_sub_ps(_mm256_setzero_ps(), bound));
      __m256i y = _mm256_add_epi32(_mm256_cvtps_epi32(s), _mm256_set1_epi32(t.zero));
      y = _mm256_min_epi32(_mm256_max_epi32(y, _mm256_set1_epi32(t.low)),
                           _mm256_set1_epi32(t.high));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(values + 8 * v), y);
    }
    for (std::size_t f = 0; f < 16; ++f) t.y[p * 16 + f] = static_cast<u8>(values[f]);
  }
}

void bytes(const ByteTile& t, std::size_t places, std::size_t) {
  places == tile_places ? byte_tile<tile_places>(t) : byte_tile<tile_places / 2>(t);
}

}  // namespace
}  // namespace hearth::kernels::avx2_conv

#include "kernels/conv_table.inl"

namespace hearth::kernels {
extern const ConvKernels avx2_conv_table;
constexpr ConvKernels avx2_conv_table = avx2_conv::make_conv_table("avx2");
}  // namespace hearth::kernels
