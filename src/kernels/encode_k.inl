// The types of 256 values with scales of scales, and those of the sixteen uneven levels.
// Offsets in a block are those of quants.cpp.
#include "kernels/encode_plain.inl"

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t block_values = 256;

// Scales (and minima) of all groups of one block.
template <int N>
struct GroupFits {
  float scales[block_values / N], minima[block_values / N];
};

template <int N, typename Fit>
inline void fit_groups(const float* x, const float* w, Fit fit) {
  constexpr std::size_t all = block_values / N;
  float xt[lanes * N], wt[lanes * N];
  for (std::size_t g = 0; g < all; g += lanes) {
    const std::size_t groups = all - g < lanes ? all - g : lanes;
    turn<N>(x + g * N, groups, xt);
    turn<N>(w + g * N, groups, wt);
    fit(g, groups, xt, wt);
  }
}

inline void copy_lanes(float* to, Vec from, std::size_t count) {
  float values[lanes];
  store(values, from);
  memcpy(to, values, count * sizeof(float));
}

template <int N>
inline GroupFits<N> affine_fits(const float* x, const float* w, float top, float first, float step,
                                int steps) {
  GroupFits<N> fits;
  fit_groups<N>(x, w, [&](std::size_t g, std::size_t groups, const float* xt, const float* wt) {
    const Affine fit = fit_affine<N>(xt, wt, top, first, step, steps);
    copy_lanes(fits.scales + g, fit.scale, groups);
    copy_lanes(fits.minima + g, fit.minimum, groups);
  });
  return fits;
}

template <int N>
inline GroupFits<N> symmetric_fits(const float* x, const float* w, float top) {
  GroupFits<N> fits;
  fit_groups<N>(x, w, [&](std::size_t g, std::size_t groups, const float* xt, const float* wt) {
    copy_lanes(fits.scales + g, fit_symmetric<N>(xt, wt, top), groups);
  });
  return fits;
}

// Codes of 0 to top for values of 0 and more; the factor is stored at `factor` as a half.
template <std::size_t count>
inline float put_codes(const float (&values)[count], float top, u8* factor, u8* codes) {
  const float d = put_half(factor, largest_size(values, count) / top), inverse = inverse_of(d);
  for (std::size_t i = 0; i < count; ++i)
    codes[i] = static_cast<u8>(clamped(nearest(values[i] * inverse), 0, top));
  return d;
}

// Codes of -top to top - 1, as bytes.
template <std::size_t count>
inline float put_signed_codes(const float (&values)[count], float top, u8* factor, i8* codes) {
  const float d = put_half(factor, signed_extreme(values, count) / -top), inverse = inverse_of(d);
  for (std::size_t i = 0; i < count; ++i)
    codes[i] = static_cast<i8>(clamped(nearest(values[i] * inverse), -top, top - 1));
  return d;
}

template <int N>
inline void put_affine_levels(const float* x, u8* q, const u8* scales, const u8* minima, float d,
                              float dmin, float top) {
  for (std::size_t g = 0; g < block_values / N; ++g) {
    const float inverse = inverse_of(d * static_cast<float>(scales[g]));
    const float minimum = dmin * static_cast<float>(minima[g]);
    for (std::size_t i = 0; i < N; ++i)
      q[g * N + i] = level(x[g * N + i] + minimum, inverse, 0, top);
  }
}

void encode_q2_k(const float* x, const float* importance, void* blocks, std::size_t n) {
  float w[block_values];
  u8 q[block_values], scales[16], minima[16];
  for (u8* block = static_cast<u8*>(blocks); n >= block_values; n -= block_values) {
    weigh(x, importance, w, block_values, block_values,
          [](float value, float) { return fabsf(value); });
    const auto fits = affine_fits<16>(x, w, 3, importance ? -0.9f : -0.5f,
                                      importance ? 0.05f : 0.1f, importance ? 36 : 15);
    const float d = put_codes(fits.scales, 15, block + 80, scales);
    const float dmin = put_codes(fits.minima, 15, block + 82, minima);
    put_affine_levels<16>(x, q, scales, minima, d, dmin, 3);
    for (std::size_t g = 0; g < 16; ++g) block[g] = static_cast<u8>(scales[g] | minima[g] << 4);
    for (std::size_t i = 0; i < 64; ++i) {
      const u8* from = q + 128 * (i / 32) + i % 32;
      block[16 + i] = static_cast<u8>(from[0] | from[32] << 2 | from[64] << 4 | from[96] << 6);
    }
    x += block_values;
    importance = importance ? importance + block_values : nullptr;
    block += 84;
  }
}

void encode_q3_k(const float* x, const float* importance, void* blocks, std::size_t n) {
  float w[block_values];
  u8 q[block_values];
  i8 scales[16];
  for (u8* block = static_cast<u8*>(blocks); n >= block_values; n -= block_values) {
    weigh(x, importance, w, block_values, block_values, by_square);
    const auto fits = symmetric_fits<16>(x, w, 4);
    const float d = put_signed_codes(fits.scales, 32, block + 108, scales);
    memset(block, 0, 32);
    memset(block + 96, 0, 12);
    for (std::size_t g = 0; g < 16; ++g) {
      const float inverse = inverse_of(d * static_cast<float>(scales[g]));
      for (std::size_t i = 0; i < 16; ++i) q[16 * g + i] = level(x[16 * g + i], inverse, 4, 7);
      const u32 code = static_cast<u32>(scales[g] + 32);
      block[96 + g % 8] = static_cast<u8>(block[96 + g % 8] | (code & 15) << (g < 8 ? 0 : 4));
      block[104 + g % 4] = static_cast<u8>(block[104 + g % 4] | code >> 4 << (2 * (g / 4)));
    }
    for (std::size_t s = 0; s < 8; ++s)
      for (std::size_t i = 0; i < 32; ++i)
        block[i] = static_cast<u8>(block[i] | (q[32 * s + i] >> 2) << s);
    for (std::size_t i = 0; i < 64; ++i) {
      const u8* from = q + 128 * (i / 32) + i % 32;
      block[32 + i] = static_cast<u8>((from[0] & 3) | (from[32] & 3) << 2 | (from[64] & 3) << 4 |
                                      (from[96] & 3) << 6);
    }
    x += block_values;
    importance = importance ? importance + block_values : nullptr;
    block += 110;
  }
}

// Eight 6-bit scales and minima in 12 bytes; see quants.cpp.
inline void put_six_bits(u8* to, const u8* scales, const u8* minima) {
  for (std::size_t i = 0; i < 4; ++i) {
    to[i] = static_cast<u8>(scales[i] | scales[i + 4] >> 4 << 6);
    to[i + 4] = static_cast<u8>(minima[i] | minima[i + 4] >> 4 << 6);
    to[i + 8] = static_cast<u8>((scales[i + 4] & 15) | (minima[i + 4] & 15) << 4);
  }
}

template <bool five>
void encode_affine_k(const float* x, const float* importance, void* blocks, std::size_t n) {
  constexpr float top = five ? 31 : 15;
  constexpr std::size_t block_bytes = five ? 176 : 144;
  float w[block_values];
  u8 q[block_values], scales[8], minima[8];
  for (u8* block = static_cast<u8*>(blocks); n >= block_values; n -= block_values) {
    weigh(x, importance, w, block_values, importance ? block_values : 32, by_size);
    const auto fits = importance
                          ? affine_fits<32>(x, w, top, -0.9f, 0.05f, 36)
                          : affine_fits<32>(x, w, top, five ? -0.5f : -1.0f, 0.1f, five ? 15 : 20);
    const float d = put_codes(fits.scales, 63, block, scales);
    const float dmin = put_codes(fits.minima, 63, block + 2, minima);
    put_six_bits(block + 4, scales, minima);
    put_affine_levels<32>(x, q, scales, minima, d, dmin, top);
    u8* low = block + block_bytes - 128;
    for (std::size_t g = 0; g < 8; g += 2)
      for (std::size_t i = 0; i < 32; ++i)
        low[16 * g + i] = static_cast<u8>((q[32 * g + i] & 15) | (q[32 * g + 32 + i] & 15) << 4);
    if (five) {
      memset(block + 16, 0, 32);
      for (std::size_t g = 0; g < 8; ++g)
        for (std::size_t i = 0; i < 32; ++i)
          block[16 + i] = static_cast<u8>(block[16 + i] | (q[32 * g + i] >> 4) << g);
    }
    x += block_values;
    importance = importance ? importance + block_values : nullptr;
    block += block_bytes;
  }
}

void encode_q6_k(const float* x, const float* importance, void* blocks, std::size_t n) {
  float w[block_values];
  u8 q[block_values];
  i8 scales[16];
  for (u8* block = static_cast<u8*>(blocks); n >= block_values; n -= block_values) {
    weigh(x, importance, w, block_values, block_values, by_square);
    const auto fits = symmetric_fits<16>(x, w, 32);
    const float d = put_signed_codes(fits.scales, 128, block + 208, scales);
    memcpy(block + 192, scales, 16);
    for (std::size_t g = 0; g < 16; ++g) {
      const float inverse = inverse_of(d * static_cast<float>(scales[g]));
      for (std::size_t i = 0; i < 16; ++i) q[16 * g + i] = level(x[16 * g + i], inverse, 32, 63);
    }
    for (std::size_t half = 0; half < 2; ++half) {
      const u8* from = q + 128 * half;
      u8 *low = block + 64 * half, *high = block + 128 + 32 * half;
      for (std::size_t i = 0; i < 32; ++i) {
        low[i] = static_cast<u8>((from[i] & 15) | (from[i + 64] & 15) << 4);
        low[i + 32] = static_cast<u8>((from[i + 32] & 15) | (from[i + 96] & 15) << 4);
        high[i] = static_cast<u8>(from[i] >> 4 | from[i + 32] >> 4 << 2 | from[i + 64] >> 4 << 4 |
                                  from[i + 96] >> 4 << 6);
      }
    }
    x += block_values;
    importance = importance ? importance + block_values : nullptr;
    block += 210;
  }
}

constexpr float uneven[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                              1,    13,   25,  38,  53,  69,  89,  113};

// The number of the level nearest to x.
inline u8 uneven_level(float x) {
  u32 index = 0;
  for (std::size_t i = 1; i < 16; ++i) index += x > 0.5f * (uneven[i - 1] + uneven[i]) ? 1u : 0u;
  return static_cast<u8>(index);
}

// x = scale * level.  Candidates put the extreme value at the first level, or around it.
inline Vec fit_uneven(const float* x, const float* w) {
  constexpr int tries = 7;
  const Vec most = extreme<32>(x);
  const Vec inverse = vector_max(most, -most) > 1e-30f ? 1.0f / most : splat(0);
  Vec best = splat(0), highest = best;
  for (float sign = 1; sign >= -1; sign -= 2)
    for (int k = -tries; k <= tries; ++k) {
      const Vec scale = inverse * (sign * (uneven[0] + static_cast<float>(k)));
      Vec sum_xq = splat(0), sum_qq = sum_xq;
      for (std::size_t i = 0; i < 32; ++i) {
        const Vec xi = load(x + i * lanes), y = scale * xi;
        Vec q = splat(uneven[0]);
        for (std::size_t l = 1; l < 16; ++l)
          q += y > splat(0.5f * (uneven[l - 1] + uneven[l])) ? splat(uneven[l] - uneven[l - 1])
                                                             : splat(0);
        const Vec wq = load(w + i * lanes) * q;
        sum_xq = multiply_add(wq, xi, sum_xq);
        sum_qq = multiply_add(wq, q, sum_qq);
      }
      const Vec gain = sum_qq > 0.0f ? sum_xq * sum_xq / sum_qq : splat(0);
      best = gain > highest ? sum_xq / sum_qq : best;
      highest = vector_max(highest, gain);
    }
  return best;
}

inline void put_uneven(u8* to, const float* x, float inverse) {
  u8 q[32];
  for (std::size_t i = 0; i < 32; ++i) q[i] = uneven_level(x[i] * inverse);
  put_nibbles(to, q, 16);
}

void encode_iq4_nl(const float* x, const float* importance, void* blocks, std::size_t n) {
  float w[lanes * 32], xt[lanes * 32], wt[lanes * 32], scales[lanes];
  u8* block = static_cast<u8*>(blocks);
  for (std::size_t first = 0; first < n; first += lanes * 32) {
    const std::size_t groups = n - first < lanes * 32 ? (n - first) / 32 : lanes;
    weigh(x + first, importance ? importance + first : nullptr, w, groups * 32, 32, by_square);
    turn<32>(x + first, groups, xt);
    turn<32>(w, groups, wt);
    store(scales, fit_uneven(xt, wt));
    for (std::size_t g = 0; g < groups; ++g, block += 18)
      put_uneven(block + 2, x + first + g * 32, inverse_of(put_half(block, scales[g])));
  }
}

void encode_iq4_xs(const float* x, const float* importance, void* blocks, std::size_t n) {
  float w[block_values];
  i8 codes[8];
  for (u8* block = static_cast<u8*>(blocks); n >= block_values; n -= block_values) {
    weigh(x, importance, w, block_values, block_values, by_square);
    GroupFits<32> fits;
    fit_groups<32>(x, w, [&](std::size_t g, std::size_t groups, const float* xt, const float* wt) {
      copy_lanes(fits.scales + g, fit_uneven(xt, wt), groups);
    });
    const float d = put_signed_codes(fits.scales, 32, block, codes);
    u32 high = 0;
    memset(block + 4, 0, 4);
    for (std::size_t g = 0; g < 8; ++g) {
      const u32 code = static_cast<u32>(codes[g] + 32);
      block[4 + g / 2] = static_cast<u8>(block[4 + g / 2] | (code & 15) << (4 * (g % 2)));
      high |= code >> 4 << (2 * g);
      put_uneven(block + 8 + 16 * g, x + 32 * g, inverse_of(d * static_cast<float>(codes[g])));
    }
    block[2] = static_cast<u8>(high);
    block[3] = static_cast<u8>(high >> 8);
    x += block_values;
    importance = importance ? importance + block_values : nullptr;
    block += 136;
  }
}

// A constant of this build, for the one symbol that an includer exports.
constexpr Encoders encoders_named(const char* name) {
  return {.name = name,
          .q4_0 = encode_symmetric<false>,
          .q4_1 = encode_affine<false>,
          .q5_0 = encode_symmetric<true>,
          .q5_1 = encode_affine<true>,
          .q8_0 = encode_q8_0,
          .tq1_0 = encode_tq1_0,
          .tq2_0 = encode_tq2_0,
          .q1_0 = encode_q1_0,
          .q2_0 = encode_q2_0,
          .mxfp4 = encode_mxfp4,
          .nvfp4 = encode_nvfp4,
          .q2_k = encode_q2_k,
          .q3_k = encode_q3_k,
          .q4_k = encode_affine_k<false>,
          .q5_k = encode_affine_k<true>,
          .q6_k = encode_q6_k,
          .iq4_nl = encode_iq4_nl,
          .iq4_xs = encode_iq4_xs};
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
