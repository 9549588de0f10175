// Codes and scales of panels of groups, in registers of bytes.  Included after what defines Bits
// and its operations for an instruction set.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t halves = panel_vectors;  // registers that hold one column of a panel

// Eight columns of codes: byte b of `low` is column b, of `high` column b + 4.
struct CodeBytes {
  Bits low, high;
};

inline CodeBytes nibbles(const u8* line) {
  const Bits packed = load_bits(line);
  return {both(packed, all_bytes(15)), high_nibbles(packed)};
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
  const Bits at_top = choose(repeat_16(even), shift_left<4>(twice), twice);
  const Bits mask = all_bytes(0x30);
  return {either(codes.low, both(mask, at_top)),
          either(codes.high, both(mask, shift_right<2>(at_top)))};
}

constexpr bool has_super(Panel kind) { return shape_of(kind).unit_columns == super_columns; }
constexpr bool has_minimum(Panel kind) { return kind == Panel::q4_k || kind == Panel::q5_k; }
constexpr bool has_table(Panel kind) {
  return kind == Panel::iq4_nl || kind == Panel::iq4_xs || kind == Panel::mxfp4 ||
         kind == Panel::grid;
}
constexpr bool is_signed(Panel kind) { return kind == Panel::q8_0 || has_table(kind); }

// What a code stands for is code - 2^offset_bits(kind), where that is not 0.
constexpr int offset_bits(Panel kind) {
  return kind == Panel::q4_0 ? 3 : kind == Panel::q5_0 ? 4 : kind == Panel::q6_k ? 5 : 0;
}

// Step v (columns 8v to 8v + 7) of a group, for one register of rows: bytes, signed where
// is_signed(kind).
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
  if constexpr (has_table(kind)) {
    const Bits table = repeat_16(kind == Panel::mxfp4  ? e2m1_table
                                 : kind == Panel::grid ? grid_table
                                                       : iq4_table);
    return {pick(table, codes.low), pick(table, codes.high)};
  }
  return codes;
}

// w = scale * code - minimum; `minimum` is kept negated.
struct Scales {
  Vec scale, minus_minimum;
};

// 2^(c - 128).
inline Vec half_powers(const u8* exponents) {
  const Ints c = bytes_to_ints(exponents);
  return bits(c < 2 ? (Ints{} + 0x00200000) << c : (c - 1) << 23);
}

// The factors of step v of a group, for one register of rows.
template <Panel kind>
inline Scales scales_of(const u8* super, const u8* group, std::size_t v, std::size_t half) {
  constexpr std::size_t size = shape_of(kind).group_bytes;
  const std::size_t row = lanes * half;
  const auto load_scales = [row](const u8* p) {
    return load_halves(reinterpret_cast<const u16*>(p) + row);
  };
  if constexpr (kind == Panel::mxfp4) {
    return {half_powers(group + 256 + row), Vec{}};
  } else if constexpr (!has_super(kind)) {
    return {load_scales(group + size - 32), Vec{}};
  } else if constexpr (has_minimum(kind)) {
    return {load_scales(super) * bytes_to_floats(group + size - 32 + row),
            -(load_scales(super + 32) * bytes_to_floats(group + size - 16 + row))};
  } else if constexpr (kind == Panel::q6_k) {
    return {load_scales(super) * signed_to_floats(group + 384 + 16 * (v / 2) + row), Vec{}};
  } else if constexpr (kind == Panel::grid) {
    return {load_scales(super) * 0.125f * signed_to_floats(group + 256 + 16 * (v / 2) + row),
            Vec{}};
  } else {
    return {load_scales(super) * signed_to_floats(group + 256 + row), Vec{}};
  }
}

// Some have a scale for 16 columns, the others for 32: so many steps.
constexpr bool has_two_scales(Panel kind) { return kind == Panel::q6_k || kind == Panel::grid; }
constexpr std::size_t steps_per_scale(Panel kind) { return has_two_scales(kind) ? 2 : 4; }

// Calls f(kind) with a kind of groups as a constant.
template <Panel kind>
struct Constant {
  static constexpr Panel value = kind;
};
template <typename F>
inline void with_group_kind(Panel kind, F f) {
  switch (kind) {
    case Panel::f32:
    case Panel::f16:
    case Panel::bf16:
      return;
    case Panel::q8_0:
      return f(Constant<Panel::q8_0>{});
    case Panel::q4_0:
      return f(Constant<Panel::q4_0>{});
    case Panel::iq4_nl:
      return f(Constant<Panel::iq4_nl>{});
    case Panel::q5_0:
      return f(Constant<Panel::q5_0>{});
    case Panel::q4_k:
      return f(Constant<Panel::q4_k>{});
    case Panel::q5_k:
      return f(Constant<Panel::q5_k>{});
    case Panel::q6_k:
      return f(Constant<Panel::q6_k>{});
    case Panel::iq4_xs:
      return f(Constant<Panel::iq4_xs>{});
    case Panel::mxfp4:
      return f(Constant<Panel::mxfp4>{});
    case Panel::grid:
      return f(Constant<Panel::grid>{});
  }
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
