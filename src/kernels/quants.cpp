// Dequantisation of the types whose levels follow a formula or a table of 16.
// Offsets in a block are written as numbers; the layout is named above each function.
#include "kernels/quants.h"

#include "kernels/quants_blocks.h"

namespace hearth::kernels {
namespace {

using u8 = std::uint8_t;
using u32 = std::uint32_t;

inline float as_float(u32 value) { return static_cast<float>(value); }
inline float as_float(int value) { return static_cast<float>(value); }

// The bit of q that nibble types with 5 bits keep apart, moved to its place.
inline u32 fifth_bit(u32 bits, std::size_t i) { return (bits >> i & 1) << 4; }

// Eight 6-bit scales and eight 6-bit minima in 12 bytes: the first four of each in the low bits of
// bytes 0-3 and 4-7, whose high bits complete the last four in bytes 8-11.
struct ScaleMinimum {
  float scale, minimum;
};
inline ScaleMinimum scale_minimum(const u8* p, std::size_t i) {
  if (i < 4) return {as_float(u32{p[i]} & 63), as_float(u32{p[i + 4]} & 63)};
  const u32 low = p[i + 4];
  return {as_float((low & 15) | u32{p[i - 4]} >> 6 << 4), as_float(low >> 4 | u32{p[i]} >> 6 << 4)};
}

// 2^(e - 128); subnormal below e = 2.  Half of the e8m0 number, for tables that are doubled.
inline float half_power(u8 e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : static_cast<u32>(e - 1) << 23);
}

// Half of the unsigned e4m3 number; 0x7F counts as 0.
inline float half_e4m3(u8 e) {
  if (e == 0x7F) return 0;
  const u32 exponent = u32{e} >> 3 & 15, mantissa = e & 7u;
  return exponent == 0 ? as_float(mantissa) * 0x1p-10f
                       : std::bit_cast<float>((exponent + 119) << 23 | mantissa << 20);
}

}  // namespace

// d f16, q 16 bytes: element i in the low nibble of byte i, element i + 16 in the high one.
void dequantise_q4_0(const void* blocks, float* out, std::size_t n) {
  each_block<32, 18>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block);
    for (std::size_t i = 0; i < 16; ++i) {
      const int q = block[2 + i];
      y[i] = d * as_float((q & 15) - 8);
      y[i + 16] = d * as_float((q >> 4) - 8);
    }
  });
}

// d f16, m f16, q as in Q4_0.
void dequantise_q4_1(const void* blocks, float* out, std::size_t n) {
  each_block<32, 20>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block), m = load_f16(block + 2);
    for (std::size_t i = 0; i < 16; ++i) {
      const int q = block[4 + i];
      y[i] = d * as_float(q & 15) + m;
      y[i + 16] = d * as_float(q >> 4) + m;
    }
  });
}

// d f16, fifth bits u32, q as in Q4_0.
void dequantise_q5_0(const void* blocks, float* out, std::size_t n) {
  each_block<32, 22>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block);
    const u32 high = load_u32(block + 2);
    for (std::size_t i = 0; i < 16; ++i) {
      const u32 q = block[6 + i];
      y[i] = d * as_float(static_cast<int>((q & 15) | fifth_bit(high, i)) - 16);
      y[i + 16] = d * as_float(static_cast<int>(q >> 4 | fifth_bit(high, i + 16)) - 16);
    }
  });
}

// d f16, m f16, fifth bits u32, q as in Q4_0.
void dequantise_q5_1(const void* blocks, float* out, std::size_t n) {
  each_block<32, 24>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block), m = load_f16(block + 2);
    const u32 high = load_u32(block + 4);
    for (std::size_t i = 0; i < 16; ++i) {
      const u32 q = block[8 + i];
      y[i] = d * as_float((q & 15) | fifth_bit(high, i)) + m;
      y[i + 16] = d * as_float(q >> 4 | fifth_bit(high, i + 16)) + m;
    }
  });
}

// d f16, q 32 x i8.
void dequantise_q8_0(const void* blocks, float* out, std::size_t n) {
  each_block<32, 34>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block);
    for (std::size_t i = 0; i < 32; ++i)
      y[i] = d * as_float(static_cast<std::int8_t>(block[2 + i]));
  });
}

// As Q4_0, through a table.
void dequantise_iq4_nl(const void* blocks, float* out, std::size_t n) {
  each_block<32, 18>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block);
    for (std::size_t i = 0; i < 16; ++i) {
      y[i] = d * iq4_levels[block[2 + i] & 15];
      y[i + 16] = d * iq4_levels[block[2 + i] >> 4];
    }
  });
}

// Exponent byte, q as in Q4_0.  Source: OCP Microscaling Formats 1.0.
void dequantise_mxfp4(const void* blocks, float* out, std::size_t n) {
  each_block<32, 17>(blocks, out, n, [](const u8* block, float* y) {
    const float d = half_power(block[0]);
    for (std::size_t i = 0; i < 16; ++i) {
      y[i] = d * e2m1_doubled[block[1 + i] & 15];
      y[i + 16] = d * e2m1_doubled[block[1 + i] >> 4];
    }
  });
}

// Four e4m3 scales; of each 16 elements 8 bytes, low nibbles first.
void dequantise_nvfp4(const void* blocks, float* out, std::size_t n) {
  each_block<64, 36>(blocks, out, n, [](const u8* block, float* y) {
    for (std::size_t g = 0; g < 4; ++g, y += 16) {
      const float d = half_e4m3(block[g]);
      for (std::size_t i = 0; i < 8; ++i) {
        const u8 q = block[4 + 8 * g + i];
        y[i] = d * e2m1_doubled[q & 15];
        y[i + 8] = d * e2m1_doubled[q >> 4];
      }
    }
  });
}

// d f16, q 16 bytes: bit i % 8 of byte i / 8.
void dequantise_q1_0(const void* blocks, float* out, std::size_t n) {
  each_block<128, 18>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block);
    for (std::size_t b = 0; b < 16; ++b, y += 8)
      for (std::size_t i = 0; i < 8; ++i) y[i] = d * signs_of.rows[block[2 + b] ^ 255][i];
  });
}

// d f16, q 16 bytes: bits 2 (i % 4) and the next of byte i / 4.
void dequantise_q2_0(const void* blocks, float* out, std::size_t n) {
  each_block<64, 18>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block);
    for (std::size_t i = 0; i < 64; ++i)
      y[i] = d * as_float((block[2 + i / 4] >> (2 * (i % 4)) & 3) - 1);
  });
}

// 16 x {scale, minimum} nibbles, q 64 bytes, d f16, dmin f16.  Element 128 h + 32 s + i: bits 2 s
// and the next of byte 32 h + i.  One scale per 16 elements.
void dequantise_q2_k(const void* blocks, float* out, std::size_t n) {
  each_block<256, 84>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block + 80), dmin = load_f16(block + 82);
    for (std::size_t g = 0; g < 16; ++g, y += 16) {
      const float scale = d * as_float(block[g] & 15), minimum = dmin * as_float(block[g] >> 4);
      const u8* q = block + 16 + 32 * (g / 8) + 16 * (g % 2);
      const int shift = static_cast<int>(2 * (g / 2 % 4));
      for (std::size_t i = 0; i < 16; ++i) y[i] = scale * as_float(q[i] >> shift & 3) - minimum;
    }
  });
}

// High bits 32 bytes, q as in Q2_K, 16 6-bit scales in 12 bytes, d f16.  A high bit that is not set
// takes 4 away.
void dequantise_q3_k(const void* blocks, float* out, std::size_t n) {
  each_block<256, 110>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block + 108);
    const u8* scales = block + 96;
    for (std::size_t g = 0; g < 16; ++g, y += 16) {
      const u32 low = g < 8 ? scales[g] & 15u : scales[g - 8] >> 4;
      const u32 high = scales[8 + g % 4] >> (2 * (g / 4)) & 3u;
      const float scale = d * as_float(static_cast<int>(low | high << 4) - 32);
      const u8* q = block + 32 + 32 * (g / 8) + 16 * (g % 2);
      const u8* mask = block + 16 * (g % 2);
      const int shift = static_cast<int>(2 * (g / 2 % 4)), bit = static_cast<int>(g / 2);
      for (std::size_t i = 0; i < 16; ++i)
        y[i] = scale * as_float((q[i] >> shift & 3) - (mask[i] >> bit & 1 ? 0 : 4));
    }
  });
}

// d f16, dmin f16, scales and minima in 12 bytes, q 128 bytes: of each 64 elements 32 bytes, low
// nibbles first.  One scale per 32 elements.
void dequantise_q4_k(const void* blocks, float* out, std::size_t n) {
  each_block<256, 144>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block), dmin = load_f16(block + 2);
    for (std::size_t g = 0; g < 8; ++g, y += 32) {
      const ScaleMinimum sm = scale_minimum(block + 4, g);
      const float scale = d * sm.scale, minimum = dmin * sm.minimum;
      const u8* q = block + 16 + 32 * (g / 2);
      const int shift = g % 2 ? 4 : 0;
      for (std::size_t i = 0; i < 32; ++i) y[i] = scale * as_float(q[i] >> shift & 15) - minimum;
    }
  });
}

// As Q4_K, with fifth bits (32 bytes: bit g of byte i for element 32 g + i) before q.
void dequantise_q5_k(const void* blocks, float* out, std::size_t n) {
  each_block<256, 176>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block), dmin = load_f16(block + 2);
    for (std::size_t g = 0; g < 8; ++g, y += 32) {
      const ScaleMinimum sm = scale_minimum(block + 4, g);
      const float scale = d * sm.scale, minimum = dmin * sm.minimum;
      const u8 *high = block + 16, *q = block + 48 + 32 * (g / 2);
      const int shift = g % 2 ? 4 : 0, bit = static_cast<int>(g);
      for (std::size_t i = 0; i < 32; ++i)
        y[i] = scale * as_float((q[i] >> shift & 15) | (high[i] >> bit & 1) << 4) - minimum;
    }
  });
}

// Low nibbles 128 bytes, high pairs 64 bytes, 16 x i8 scales, d f16.  Element 128 h + e: nibble
// e / 64 of byte 64 h + e % 64; pair e / 32 of byte 32 h + e % 32.
void dequantise_q6_k(const void* blocks, float* out, std::size_t n) {
  each_block<256, 210>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block + 208);
    for (std::size_t g = 0; g < 16; ++g, y += 16) {
      const float scale = d * as_float(static_cast<std::int8_t>(block[192 + g]));
      const std::size_t half = g / 8, e = 16 * (g % 8);
      const u8 *low = block + 64 * half + e % 64, *high = block + 128 + 32 * half + e % 32;
      const int low_shift = e < 64 ? 0 : 4, high_shift = static_cast<int>(2 * (e / 32));
      for (std::size_t i = 0; i < 16; ++i)
        y[i] =
            scale * as_float(((low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4) - 32);
    }
  });
}

// d f16, high pairs of scales u16, low nibbles of scales 4 bytes, q 128 bytes: of each 32 elements
// 16 bytes, low nibbles first.
void dequantise_iq4_xs(const void* blocks, float* out, std::size_t n) {
  each_block<256, 136>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block);
    const u32 high = load_u16(block + 2);
    for (std::size_t g = 0; g < 8; ++g, y += 32) {
      const u32 code = nibble(block + 4, g) | (high >> (2 * g) & 3) << 4;
      const float scale = d * as_float(static_cast<int>(code) - 32);
      const u8* q = block + 8 + 16 * g;
      for (std::size_t i = 0; i < 16; ++i) {
        y[i] = scale * iq4_levels[q[i] & 15];
        y[i + 16] = scale * iq4_levels[q[i] >> 4];
      }
    }
  });
}

namespace {

// Digits `first` to `last` of `count` base-3 fractions, most significant first: digit k of a byte b
// is (b 3^k mod 256) 3 / 256.  Elements [digit][byte].
inline float* ternary_digits(float* y, const u8* bytes, std::size_t count, int digits, float d) {
  u32 power = 1;
  for (int digit = 0; digit < digits; ++digit, power *= 3)
    for (std::size_t i = 0; i < count; ++i)
      *y++ = d * as_float(static_cast<int>((bytes[i] * power & 255) * 3 >> 8) - 1);
  return y;
}

}  // namespace

// 32 and 16 bytes of 5 digits, 4 bytes of 4 digits, d f16.
void dequantise_tq1_0(const void* blocks, float* out, std::size_t n) {
  each_block<256, 54>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block + 52);
    y = ternary_digits(y, block, 32, 5, d);
    y = ternary_digits(y, block + 32, 16, 5, d);
    ternary_digits(y, block + 48, 4, 4, d);
  });
}

// q 64 bytes, d f16.  Element 128 h + 32 s + i: bits 2 s and the next of byte 32 h + i.
void dequantise_tq2_0(const void* blocks, float* out, std::size_t n) {
  each_block<256, 66>(blocks, out, n, [](const u8* block, float* y) {
    const float d = load_f16(block + 64);
    for (std::size_t g = 0; g < 8; ++g, y += 32)
      for (std::size_t i = 0; i < 32; ++i)
        y[i] = d * as_float((block[32 * (g / 4) + i] >> (2 * (g % 4)) & 3) - 1);
  });
}

}  // namespace hearth::kernels
