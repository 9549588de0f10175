// Unpacking of panels, one number at a time: the reference.  Included after scalar.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// The number 2^(c - 128) for an exponent byte; subnormal below c = 2.
inline float half_power(u8 c) {
  return c < 2 ? float_of_bits(0x00200000u << c) : float_of_bits(static_cast<u32>(c - 1) << 23);
}

// Weights of a group: w = scale[n] * value(q) - minimum[n], [32][16].
struct Factors {
  float scale[panel_rows], minimum[panel_rows];
};

template <int high_bits, typename Value>
void unpack_codes(float* b, const u8* group, const Factors& first, const Factors& second,
                  Value value) {
  for (std::size_t v = 0; v < 4; ++v)
    for (std::size_t j = 0; j < 8; ++j) {
      const std::size_t column = nibble_column(v, j);
      const Factors& factors = column < 16 ? first : second;
      float* out = b + panel_rows * column;
      for (std::size_t n = 0; n < panel_rows; ++n) {
        u32 q = (load_u32(group + 64 * v, n) >> (4 * j)) & 15;
        if (high_bits == 1) q |= ((load_u32(group + 256, n) >> (8 * v + j)) & 1) << 4;
        if (high_bits == 2)
          q |= ((load_u32(group + 256 + 64 * (v / 2), n) >> (2 * (8 * (v % 2) + j))) & 3) << 4;
        out[n] = factors.scale[n] * value(q) - factors.minimum[n];
      }
    }
}

Factors half_scales(const u8* halves) {
  Factors factors = {};
  for (std::size_t n = 0; n < panel_rows; ++n) factors.scale[n] = load_half(halves, n);
  return factors;
}

inline float minus_8(u32 q) { return static_cast<float>(q) - 8; }
inline float minus_16(u32 q) { return static_cast<float>(q) - 16; }
inline float minus_32(u32 q) { return static_cast<float>(q) - 32; }
inline float as_is(u32 q) { return static_cast<float>(q); }
inline float from_iq4(u32 q) { return iq4_table[q]; }
inline float from_e2m1(u32 q) { return e2m1_table[q]; }
inline float from_grid(u32 q) { return 0.125f * grid_table[q]; }

void unpack_f32(void* b, const void* panel, std::size_t first, std::size_t k) {
  memcpy(b, static_cast<const float*>(panel) + panel_rows * first, 4 * panel_rows * k);
}

void unpack_f16(void* b, const void* panel, std::size_t first, std::size_t k) {
  const u8* halves = static_cast<const u8*>(panel) + 2 * panel_rows * first;
  float* out = static_cast<float*>(b);
  for (std::size_t i = 0; i < panel_rows * k; ++i) out[i] = load_half(halves, i);
}

void unpack_bf16(void* b, const void* panel, std::size_t first, std::size_t k) {
  const u8* pairs = static_cast<const u8*>(panel) + 2 * panel_rows * first;
  float* out = static_cast<float*>(b);
  for (std::size_t i = 0; i < k; ++i)
    for (std::size_t n = 0; n < panel_rows; ++n) {
      const u32 pair = load_u32(pairs, panel_rows * (i / 2) + n);
      out[panel_rows * i + n] = float_of_bits(i % 2 ? pair & 0xFFFF0000 : pair << 16);
    }
}

void unpack_q8_0(void* b, const void* panel, std::size_t first, std::size_t k) {
  float* out = static_cast<float*>(b);
  const u8* group = static_cast<const u8*>(panel) + first / 32 * 544;
  for (std::size_t g = 0; g < k / 32; ++g, group += 544, out += 32 * panel_rows) {
    const Factors factors = half_scales(group + 512);
    for (std::size_t i = 0; i < 32; ++i)
      for (std::size_t n = 0; n < panel_rows; ++n)
        out[panel_rows * i + n] =
            factors.scale[n] *
            static_cast<float>(static_cast<i8>(group[64 * (i / 4) + 4 * n + i % 4]));
  }
}

// Groups of codes and a half scale.
template <int high_bits, typename Value>
void unpack_scaled(void* b, const void* panel, std::size_t first, std::size_t k, Value value) {
  constexpr std::size_t codes = 256 + 64 * high_bits, size = codes + 32;
  float* out = static_cast<float*>(b);
  const u8* group = static_cast<const u8*>(panel) + first / 32 * size;
  for (std::size_t g = 0; g < k / 32; ++g, group += size, out += 32 * panel_rows) {
    const Factors factors = half_scales(group + codes);
    unpack_codes<high_bits>(out, group, factors, factors, value);
  }
}

void unpack_mxfp4(void* b, const void* panel, std::size_t first, std::size_t k) {
  float* out = static_cast<float*>(b);
  const u8* group = static_cast<const u8*>(panel) + first / 32 * 272;
  for (std::size_t g = 0; g < k / 32; ++g, group += 272, out += 32 * panel_rows) {
    Factors factors = {};
    for (std::size_t n = 0; n < panel_rows; ++n) factors.scale[n] = half_power(group[256 + n]);
    unpack_codes<0>(out, group, factors, factors, from_e2m1);
  }
}

// q4_k and q5_k.
template <int high_bits>
void unpack_affine_k(void* b, const void* panel, std::size_t first, std::size_t k) {
  constexpr std::size_t codes = 256 + 64 * high_bits, size = codes + 32;
  float* out = static_cast<float*>(b);
  const u8* super = static_cast<const u8*>(panel) + first / 256 * (64 + 8 * size);
  for (std::size_t g = 0; g < k / 32; ++g, out += 32 * panel_rows) {
    if (g != 0 && g % 8 == 0) super += 64 + 8 * size;
    const u8* group = super + 64 + g % 8 * size;
    Factors factors;
    for (std::size_t n = 0; n < panel_rows; ++n) {
      factors.scale[n] = load_half(super, n) * group[codes + n];
      factors.minimum[n] = load_half(super + 32, n) * group[codes + 16 + n];
    }
    unpack_codes<high_bits>(out, group, factors, factors, as_is);
  }
}

Factors signed_scales(const u8* super, const u8* bytes) {
  Factors factors = {};
  for (std::size_t n = 0; n < panel_rows; ++n)
    factors.scale[n] = load_half(super, n) * static_cast<float>(static_cast<i8>(bytes[n]));
  return factors;
}

void unpack_q6_k(void* b, const void* panel, std::size_t first, std::size_t k) {
  float* out = static_cast<float*>(b);
  const u8* super = static_cast<const u8*>(panel) + first / 256 * 3360;
  for (std::size_t g = 0; g < k / 32; ++g, out += 32 * panel_rows) {
    if (g != 0 && g % 8 == 0) super += 3360;
    const u8* group = super + 32 + g % 8 * 416;
    unpack_codes<2>(out, group, signed_scales(super, group + 384),
                    signed_scales(super, group + 400), minus_32);
  }
}

void unpack_iq4_xs(void* b, const void* panel, std::size_t first, std::size_t k) {
  float* out = static_cast<float*>(b);
  const u8* super = static_cast<const u8*>(panel) + first / 256 * 2208;
  for (std::size_t g = 0; g < k / 32; ++g, out += 32 * panel_rows) {
    if (g != 0 && g % 8 == 0) super += 2208;
    const u8* group = super + 32 + g % 8 * 272;
    const Factors factors = signed_scales(super, group + 256);
    unpack_codes<0>(out, group, factors, factors, from_iq4);
  }
}

void unpack_grid(void* b, const void* panel, std::size_t first, std::size_t k) {
  float* out = static_cast<float*>(b);
  const u8* super = static_cast<const u8*>(panel) + first / 256 * 2336;
  for (std::size_t g = 0; g < k / 32; ++g, out += 32 * panel_rows) {
    if (g != 0 && g % 8 == 0) super += 2336;
    const u8* group = super + 32 + g % 8 * 288;
    unpack_codes<0>(out, group, signed_scales(super, group + 256),
                    signed_scales(super, group + 272), from_grid);
  }
}

// Columns [first, first + k) of one panel.
void unpack(Panel kind, void* b, const void* panel, std::size_t first, std::size_t k) {
  switch (kind) {
    case Panel::f32:
      return unpack_f32(b, panel, first, k);
    case Panel::f16:
      return unpack_f16(b, panel, first, k);
    case Panel::bf16:
      return unpack_bf16(b, panel, first, k);
    case Panel::q8_0:
      return unpack_q8_0(b, panel, first, k);
    case Panel::q4_0:
      return unpack_scaled<0>(b, panel, first, k, minus_8);
    case Panel::iq4_nl:
      return unpack_scaled<0>(b, panel, first, k, from_iq4);
    case Panel::q5_0:
      return unpack_scaled<1>(b, panel, first, k, minus_16);
    case Panel::q4_k:
      return unpack_affine_k<0>(b, panel, first, k);
    case Panel::q5_k:
      return unpack_affine_k<1>(b, panel, first, k);
    case Panel::q6_k:
      return unpack_q6_k(b, panel, first, k);
    case Panel::iq4_xs:
      return unpack_iq4_xs(b, panel, first, k);
    case Panel::mxfp4:
      return unpack_mxfp4(b, panel, first, k);
    case Panel::grid:
      return unpack_grid(b, panel, first, k);
  }
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
