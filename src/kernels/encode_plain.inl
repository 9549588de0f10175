// The types whose blocks have one scale, or one and a minimum.  Offsets in a block are those of
// quants.cpp.
#include "kernels/encode_fit.inl"

namespace hearth::kernels::HEARTH_ISA {
namespace {

inline float largest_size(const float* x, std::size_t n) {
  float most = 0;
  for (std::size_t i = 0; i < n; ++i) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
  return most;
}

inline float inverse_of(float d) { return d != 0 ? 1 / d : 0; }

// The first of the largest size, with its sign.
inline float signed_extreme(const float* x, std::size_t n) {
  float most = 0, size = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (fabsf(x[i]) > size) {
      size = fabsf(x[i]);
      most = x[i];
    }
  return most;
}

// Calls one(x, scale, block) for each block of N with the scale that fits best.
template <int N, typename One>
inline void with_symmetric_scales(const float* x, const float* importance, std::size_t n, float top,
                                  One one) {
  float w[lanes * N], xt[lanes * N], wt[lanes * N], scales[lanes];
  for (std::size_t first = 0; first < n; first += lanes * N) {
    const std::size_t groups = n - first < lanes * N ? (n - first) / N : lanes;
    weigh(x + first, importance + first, w, groups * N, N, by_square);
    turn<N>(x + first, groups, xt);
    turn<N>(w, groups, wt);
    store(scales, fit_symmetric<N>(xt, wt, top));
    for (std::size_t g = 0; g < groups; ++g) one(first / N + g, x + first + g * N, scales[g]);
  }
}

// Low four bits of q[i] and q[i + half], side by side.
inline void put_nibbles(u8* to, const u8* q, std::size_t half) {
  for (std::size_t i = 0; i < half; ++i)
    to[i] = static_cast<u8>((q[i] & 15) | (q[i + half] & 15) << 4);
}
inline void put_fifth_bits(u8* to, const u8* q) {
  u32 high = 0;
  for (std::size_t i = 0; i < 32; ++i) high |= static_cast<u32>(q[i] >> 4 & 1) << i;
  memcpy(to, &high, sizeof high);
}

template <bool five>
void encode_symmetric(const float* x, const float* importance, void* blocks, std::size_t n) {
  constexpr float top = five ? 16 : 8;
  constexpr std::size_t block_bytes = five ? 22 : 18;
  const auto one = [&](std::size_t b, const float* values, float d) {
    u8 *block = static_cast<u8*>(blocks) + b * block_bytes, q[32];
    put_half(block, d);
    const float inverse = inverse_of(d);
    for (std::size_t i = 0; i < 32; ++i)  // halves go up
      q[i] = static_cast<u8>(clamped(values[i] * inverse + (top + 0.5f), 0, 2 * top - 1));
    if (five) put_fifth_bits(block + 2, q);
    put_nibbles(block + block_bytes - 16, q, 16);
  };
  if (importance) return with_symmetric_scales<32>(x, importance, n, top, one);
  for (std::size_t b = 0; b < n / 32; ++b)
    one(b, x + 32 * b, signed_extreme(x + 32 * b, 32) / -top);
}

template <bool five>
void encode_affine(const float* x, const float* importance, void* blocks, std::size_t n) {
  constexpr float top = five ? 31 : 15;
  constexpr std::size_t block_bytes = five ? 24 : 20;
  const auto one = [&](std::size_t b, const float* values, float d, float minimum) {
    u8 *block = static_cast<u8*>(blocks) + b * block_bytes, q[32];
    put_half(block, d);
    put_half(block + 2, minimum);
    const float inverse = inverse_of(d);
    for (std::size_t i = 0; i < 32; ++i)
      q[i] = static_cast<u8>(clamped((values[i] - minimum) * inverse + 0.5f, 0, top));
    if (five) put_fifth_bits(block + 4, q);
    put_nibbles(block + block_bytes - 16, q, 16);
  };
  if (!importance) {
    for (std::size_t b = 0; b < n / 32; ++b) {
      const float* values = x + 32 * b;
      float low = values[0], high = values[0];
      for (std::size_t i = 1; i < 32; ++i) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
      }
      one(b, values, (high - low) / top, low);
    }
    return;
  }
  float w[lanes * 32], xt[lanes * 32], wt[lanes * 32], scales[lanes], minima[lanes];
  for (std::size_t first = 0; first < n; first += lanes * 32) {
    const std::size_t groups = n - first < lanes * 32 ? (n - first) / 32 : lanes;
    weigh(x + first, importance + first, w, groups * 32, 32, by_square);
    turn<32>(x + first, groups, xt);
    turn<32>(w, groups, wt);
    const Affine fit = fit_affine<32>(xt, wt, top, -0.9f, 0.05f, 36);
    store(scales, fit.scale);
    store(minima, fit.minimum);
    for (std::size_t g = 0; g < groups; ++g)
      one(first / 32 + g, x + first + g * 32, scales[g], -minima[g]);
  }
}

void encode_q8_0(const float* x, const float*, void* blocks, std::size_t n) {
  for (u8* block = static_cast<u8*>(blocks); n >= 32; n -= 32, x += 32, block += 34) {
    const float d = largest_size(x, 32) / 127, inverse = inverse_of(d);
    put_half(block, d);
    for (std::size_t i = 0; i < 32; ++i) {  // halves go away from zero
      const float scaled = x[i] * inverse;
      block[2 + i] = static_cast<u8>(static_cast<i8>(scaled + (scaled < 0 ? -0.5f : 0.5f)));
    }
  }
}

// 0, 1 or 2 for -1, 0 and 1.
inline u32 ternary(float x, float inverse) {
  const float scaled = x * inverse;
  return static_cast<u32>(static_cast<int>(scaled + (scaled < 0 ? -0.5f : 0.5f)) + 1);
}

// Digits of base 3 as a fraction of 256, so that multiplying by 3 brings the next one out.
inline const float* put_digits(const float* x, u8* to, std::size_t width, std::size_t digits,
                               float inverse) {
  for (std::size_t i = 0; i < width; ++i) {
    u32 number = 0;
    for (std::size_t d = 0; d < 5; ++d)
      number = 3 * number + (d < digits ? ternary(x[i + d * width], inverse) : 0);
    to[i] = static_cast<u8>((number * 256 + 242) / 243);
  }
  return x + width * digits;
}

void encode_tq1_0(const float* x, const float*, void* blocks, std::size_t n) {
  for (u8* block = static_cast<u8*>(blocks); n >= 256; n -= 256, x += 256, block += 54) {
    const float d = largest_size(x, 256), inverse = inverse_of(d);
    put_half(block + 52, d);
    const float* rest = put_digits(x, block, 32, 5, inverse);
    rest = put_digits(rest, block + 32, 16, 5, inverse);
    put_digits(rest, block + 48, 4, 4, inverse);
  }
}

void encode_tq2_0(const float* x, const float*, void* blocks, std::size_t n) {
  for (u8* block = static_cast<u8*>(blocks); n >= 256; n -= 256, x += 256, block += 66) {
    const float d = largest_size(x, 256), inverse = inverse_of(d);
    put_half(block + 64, d);
    for (std::size_t i = 0; i < 64; ++i) {
      u32 byte = 0;
      for (std::size_t j = 0; j < 4; ++j)
        byte |= ternary(x[128 * (i / 32) + 32 * j + i % 32], inverse) << (2 * j);
      block[i] = static_cast<u8>(byte);
    }
  }
}

void encode_q1_0(const float* x, const float*, void* blocks, std::size_t n) {
  for (u8* block = static_cast<u8*>(blocks); n >= 128; n -= 128, x += 128, block += 18) {
    float sum = 0;
    for (std::size_t i = 0; i < 128; ++i) sum += fabsf(x[i]);
    put_half(block, sum / 128);
    for (std::size_t b = 0; b < 16; ++b) {
      u32 bits_of = 0;
      for (std::size_t i = 0; i < 8; ++i) bits_of |= (x[8 * b + i] >= 0 ? 1u : 0u) << i;
      block[2 + b] = static_cast<u8>(bits_of);
    }
  }
}

void encode_q2_0(const float* x, const float*, void* blocks, std::size_t n) {
  for (u8* block = static_cast<u8*>(blocks); n >= 64; n -= 64, x += 64, block += 18) {
    const float d = largest_size(x, 64), inverse = inverse_of(d);
    put_half(block, d);
    for (std::size_t b = 0; b < 16; ++b) {
      u32 byte = 0;
      for (std::size_t i = 0; i < 4; ++i) byte |= ternary(x[4 * b + i], inverse) << (2 * i);
      block[2 + b] = static_cast<u8>(byte);
    }
  }
}

constexpr float e2m1_edges[] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};

// The e2m1 number nearest to x: 0, 0.5, 1, 1.5, 2, 3, 4, 6 with a sign; ties to the smaller.
inline u8 e2m1(float x) {
  const float size = fabsf(x);
  u32 code = 0;
  for (const float edge : e2m1_edges) code += size > edge ? 1u : 0u;
  return static_cast<u8>(x < 0 && code != 0 ? code | 8 : code);
}

inline void put_e2m1(u8* to, const float* x, std::size_t half, float inverse) {
  for (std::size_t i = 0; i < half; ++i)
    to[i] = static_cast<u8>(e2m1(x[i] * inverse) | e2m1(x[i + half] * inverse) << 4);
}

// The exponent of the largest value, less that of 4.
void encode_mxfp4(const float* x, const float*, void* blocks, std::size_t n) {
  for (u8* block = static_cast<u8*>(blocks); n >= 32; n -= 32, x += 32, block += 17) {
    const int exponent = static_cast<int>(bits_of_float(largest_size(x, 32)) >> 23) - 2;
    block[0] = static_cast<u8>(exponent < 0 ? 0 : exponent);
    put_e2m1(block + 1, x, 16, exponent <= 0 ? 0 : ldexpf(1, 127 - exponent));
  }
}

// The unsigned e4m3 number nearest to x, and its value.
inline float put_e4m3(u8* to, float x) {
  x = x > 448 ? 448 : x;
  if (!(x >= 0x1p-6f)) {
    *to = x > 0 ? static_cast<u8>(clamped(nearest(x * 512), 0, 8)) : u8{0};
    return static_cast<float>(*to) / 512;
  }
  const u32 rounded = bits_of_float(x) + 0x80000u;  // half of the last place of three bits
  const u32 code = (rounded >> 20) - (120u << 3);
  *to = static_cast<u8>(code > 126 ? 126 : code);
  return float_of_bits((*to + (120u << 3)) << 20);
}

void encode_nvfp4(const float* x, const float*, void* blocks, std::size_t n) {
  for (u8* block = static_cast<u8*>(blocks); n >= 64; n -= 64, x += 64, block += 36)
    for (std::size_t g = 0; g < 4; ++g) {
      const float d = put_e4m3(block + g, largest_size(x + 16 * g, 16) / 6);
      put_e2m1(block + 4 + 8 * g, x + 16 * g, 8, inverse_of(d));
    }
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
