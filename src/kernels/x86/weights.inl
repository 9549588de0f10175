// Weights from panels into registers, for 8 or 16 lanes.  Included after vectors.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t halves = panel_vectors;  // registers that hold one column of a panel

#if HEARTH_LANES == 16
typedef __m512i Bits;
inline Bits load_bits(const u8* p) { return _mm512_loadu_si512(p); }
inline Bits all_bytes(char value) { return _mm512_set1_epi8(value); }
inline Bits repeat_16(const void* p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline Bits both(Bits a, Bits b) { return _mm512_and_si512(a, b); }
inline Bits either(Bits a, Bits b) { return _mm512_or_si512(a, b); }
inline Bits minus(Bits a, Bits b) { return _mm512_sub_epi8(a, b); }
inline Bits pick(Bits a, Bits order) { return _mm512_shuffle_epi8(a, order); }
template <int bits>
inline Bits shift_right(Bits a) {
  return _mm512_srli_epi16(a, bits);
}
// 16 where a byte of a has a bit of b, else 0.
inline Bits sixteen_where(Bits a, Bits b) {
  return _mm512_maskz_mov_epi8(_mm512_test_epi8_mask(a, b), all_bytes(16));
}
inline Vec to_floats(Bits a) { return _mm512_cvtepi32_ps(a); }
inline Vec bytes_to_floats(const u8* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)));
}
inline Vec signed_to_floats(const u8* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)));
}
inline Ints bytes_to_ints(const u8* p) {
  return (Ints)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p));
}
#else
typedef __m256i Bits;
inline Bits load_bits(const u8* p) { return _mm256_loadu_si256((const __m256i*)p); }
inline Bits all_bytes(char value) { return _mm256_set1_epi8(value); }
inline Bits repeat_16(const void* p) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline Bits both(Bits a, Bits b) { return _mm256_and_si256(a, b); }
inline Bits either(Bits a, Bits b) { return _mm256_or_si256(a, b); }
inline Bits minus(Bits a, Bits b) { return _mm256_sub_epi8(a, b); }
inline Bits pick(Bits a, Bits order) { return _mm256_shuffle_epi8(a, order); }
template <int bits>
inline Bits shift_right(Bits a) {
  return _mm256_srli_epi16(a, bits);
}
inline Bits sixteen_where(Bits a, Bits b) {
  return _mm256_andnot_si256(_mm256_cmpeq_epi8(both(a, b), _mm256_setzero_si256()), all_bytes(16));
}
inline Vec to_floats(Bits a) { return _mm256_cvtepi32_ps(a); }
inline Vec bytes_to_floats(const u8* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)));
}
inline Vec signed_to_floats(const u8* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p)));
}
inline Ints bytes_to_ints(const u8* p) {
  return (Ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p));
}
#endif

// Byte b of every 32-bit lane to its top, the rest zero: the lane is then 2^24 times the byte.
alignas(16) constexpr i8 to_top[4][16] = {
    {-1, -1, -1, 0, -1, -1, -1, 4, -1, -1, -1, 8, -1, -1, -1, 12},
    {-1, -1, -1, 1, -1, -1, -1, 5, -1, -1, -1, 9, -1, -1, -1, 13},
    {-1, -1, -1, 2, -1, -1, -1, 6, -1, -1, -1, 10, -1, -1, -1, 14},
    {-1, -1, -1, 3, -1, -1, -1, 7, -1, -1, -1, 11, -1, -1, -1, 15}};

// Eight columns of codes: byte b of `low` is column b, of `high` column b + 4.
struct CodeBytes {
  Bits low, high;
};

inline CodeBytes nibbles(const u8* line) {
  const Bits packed = load_bits(line), mask = all_bytes(15);
  return {both(packed, mask), both(shift_right<4>(packed), mask)};
}

// Adds the fifth bits of line v: byte v of each lane, bits 2b (low) and 2b + 1 (high).
inline CodeBytes with_fifth_bits(CodeBytes codes, const u8* line, std::size_t v) {
  alignas(16) static constexpr i8 spread[4][16] = {
      {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12},
      {1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13},
      {2, 2, 2, 2, 6, 6, 6, 6, 10, 10, 10, 10, 14, 14, 14, 14},
      {3, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15, 15, 15, 15}};
  alignas(16) static constexpr u8 even[16] = {1, 4, 16, 64, 1, 4, 16, 64,
                                              1, 4, 16, 64, 1, 4, 16, 64};
  alignas(16) static constexpr u8 odd[16] = {2, 8, 32, 128, 2, 8, 32, 128,
                                             2, 8, 32, 128, 2, 8, 32, 128};
  const Bits bits_of_line = pick(load_bits(line), repeat_16(spread[v]));
  return {either(codes.low, sixteen_where(bits_of_line, repeat_16(even))),
          either(codes.high, sixteen_where(bits_of_line, repeat_16(odd)))};
}

// Adds the high bits of line v: half v % 2 of each lane, bits 4b, 4b + 1 (low) and the next (high).
inline CodeBytes with_high_bits(CodeBytes codes, const u8* line, std::size_t v) {
  alignas(16) static constexpr i8 spread[2][16] = {
      {0, 0, 1, 1, 4, 4, 5, 5, 8, 8, 9, 9, 12, 12, 13, 13},
      {2, 2, 3, 3, 6, 6, 7, 7, 10, 10, 11, 11, 14, 14, 15, 15}};
  alignas(16) static constexpr u8 even[16] = {255, 0, 255, 0, 255, 0, 255, 0,
                                              255, 0, 255, 0, 255, 0, 255, 0};
  // Even bytes have their four bits at the bottom, odd ones at the top: bring all to the top.
  const Bits twice = pick(load_bits(line), repeat_16(spread[v % 2]));
  const Bits even_bytes = repeat_16(even);
#if HEARTH_LANES == 16
  const Bits at_top =
      _mm512_ternarylogic_epi32(_mm512_slli_epi16(twice, 4), twice, even_bytes, 0xE4);
#else
  const Bits at_top = _mm256_blendv_epi8(twice, _mm256_slli_epi16(twice, 4), even_bytes);
#endif
  const Bits mask = all_bytes(0x30);
  return {either(codes.low, both(mask, at_top)),
          either(codes.high, both(mask, shift_right<2>(at_top)))};
}

constexpr bool has_four_bits(Panel kind) {
  return kind == Panel::q4_0 || kind == Panel::iq4_nl || kind == Panel::q4_k ||
         kind == Panel::iq4_xs || kind == Panel::mxfp4;
}

// Four-bit codes go through a table of floats where registers are wide enough to hold it.
constexpr bool by_table(Panel kind) { return lanes == 16 && has_four_bits(kind); }

constexpr bool has_super(Panel kind) { return shape_of(kind).unit_columns == super_columns; }
constexpr bool has_minimum(Panel kind) { return kind == Panel::q4_k || kind == Panel::q5_k; }

// The signed bytes of step v (columns 8v to 8v + 7) of a group, for one register of rows.
template <Panel kind>
inline CodeBytes codes_of(const u8* group, std::size_t v, std::size_t half) {
  const std::size_t rows = 4 * lanes * half;
  if constexpr (kind == Panel::q8_0)
    return {load_bits(group + 128 * v + rows), load_bits(group + 128 * v + 64 + rows)};
  CodeBytes codes = nibbles(group + 64 * v + rows);
  if constexpr (kind == Panel::q5_0 || kind == Panel::q5_k)
    codes = with_fifth_bits(codes, group + 256 + rows, v);
  if constexpr (kind == Panel::q6_k)
    codes = with_high_bits(codes, group + 256 + 64 * (v / 2) + rows, v);
  constexpr char offset = kind == Panel::q4_0 ? 8 : kind == Panel::q5_0 ? 16 : 32;
  if constexpr (kind == Panel::q4_0 || kind == Panel::q5_0 || kind == Panel::q6_k)
    return {minus(codes.low, all_bytes(offset)), minus(codes.high, all_bytes(offset))};
  if constexpr (kind == Panel::iq4_nl || kind == Panel::iq4_xs || kind == Panel::mxfp4) {
    const Bits table = repeat_16(kind == Panel::mxfp4 ? e2m1_table : iq4_table);
    return {pick(table, codes.low), pick(table, codes.high)};
  }
  return codes;
}

struct Scales {
  Vec scale, minimum;
};

// 2^(c - 128).
inline Vec half_powers(const u8* exponents) {
  const Ints c = bytes_to_ints(exponents);
  return bits(c < 2 ? (Ints{} + 0x00200000) << c : (c - 1) << 23);
}

// The factors of step v of a group, for one register of rows.
template <Panel kind>
inline Scales scales_of(const u8* super, const u8* group, std::size_t v, std::size_t half) {
  constexpr float unit = by_table(kind) ? 1.0f : 0x1p-24f;  // codes come 2^24 times too large
  constexpr std::size_t size = shape_of(kind).group_bytes;
  const std::size_t row = lanes * half;
  const auto load_scales = [&](const u8* p) {
    return load_halves(reinterpret_cast<const u16*>(p) + row);
  };
  if constexpr (kind == Panel::mxfp4) {
    return {half_powers(group + 256 + row) * unit, Vec{}};
  } else if constexpr (!has_super(kind)) {
    return {load_scales(group + size - 32) * unit, Vec{}};
  } else if constexpr (has_minimum(kind)) {
    return {load_scales(super) * bytes_to_floats(group + size - 32 + row) * unit,
            -(load_scales(super + 32) * bytes_to_floats(group + size - 16 + row))};
  } else if constexpr (kind == Panel::q6_k) {
    return {load_scales(super) * signed_to_floats(group + 384 + 16 * (v / 2) + row) * unit, Vec{}};
  } else {
    return {load_scales(super) * signed_to_floats(group + 256 + row) * unit, Vec{}};
  }
}

struct Eight {
  Vec w[8];
};

template <Panel kind>
inline Vec scaled(Vec code, const Scales& scales) {
  if constexpr (has_minimum(kind)) return multiply_add(code, scales.scale, scales.minimum);
  return code * scales.scale;
}

#if HEARTH_LANES == 16
alignas(64) constexpr float four_bit_values[3][16] = {
    {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}};
alignas(64) constexpr float e2m1_values[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                               0, -1, -2, -3, -4, -6, -8, -12};

template <Panel kind>
inline Eight weights_by_table(const u8* group, std::size_t v, const Scales& scales) {
  constexpr const float* values = kind == Panel::mxfp4  ? e2m1_values
                                  : kind == Panel::q4_0 ? four_bit_values[0]
                                  : kind == Panel::q4_k ? four_bit_values[1]
                                                        : four_bit_values[2];
  const Vec table = load(values);
  const Bits line = load_bits(group + 64 * v);
  Eight result;
#pragma GCC unroll 8
  for (unsigned j = 0; j < 8; ++j) {  // only the low four bits of an index count
    const Vec code = _mm512_permutexvar_ps(_mm512_srli_epi32(line, 4 * j), table);
    result.w[nibble_column(0, j)] = scaled<kind>(code, scales);
  }
  return result;
}
#endif

// Columns 8v to 8v + 7 of a group, one register of rows.
template <Panel kind>
inline Eight weights_of(const u8* group, std::size_t v, std::size_t half, const Scales& scales) {
#if HEARTH_LANES == 16
  if constexpr (by_table(kind)) return weights_by_table<kind>(group, v, scales);
#endif
  const CodeBytes codes = codes_of<kind>(group, v, half);
  Eight result;
#pragma GCC unroll 4
  for (std::size_t b = 0; b < 4; ++b) {
    const Bits order = repeat_16(to_top[b]);
    result.w[b] = scaled<kind>(to_floats(pick(codes.low, order)), scales);
    result.w[b + 4] = scaled<kind>(to_floats(pick(codes.high, order)), scales);
  }
  return result;
}

// Steps of two scales each: q6_k has one for 16 columns, the others for 32.
constexpr std::size_t steps_per_scale(Panel kind) { return kind == Panel::q6_k ? 2 : 4; }

// One column of a panel of floats; `odd` says which of a pair of bf16.
template <Panel kind>
inline Vec column_of(const u8* panel, std::size_t column, bool odd, std::size_t half) {
  const std::size_t row = lanes * half;
  if constexpr (kind == Panel::f32)
    return load(reinterpret_cast<const float*>(panel) + panel_rows * column + row);
  if constexpr (kind == Panel::f16)
    return load_halves(reinterpret_cast<const u16*>(panel) + panel_rows * column + row);
  Ints pair;
  memcpy(&pair, panel + 64 * (column / 2) + 4 * row, sizeof pair);
  return bits(odd ? pair & static_cast<std::int32_t>(0xFFFF0000) : pair << 16);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
