// Unpacking of panels with the compiler's vectors: what the portable table uses.  Included after
// vectors.inl, for 4 lanes.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr bool has_super(Panel kind) { return shape_of(kind).unit_columns == super_columns; }
constexpr bool has_two_scales(Panel kind) { return kind == Panel::q6_k || kind == Panel::grid; }
constexpr bool has_minimum(Panel kind) { return kind == Panel::q4_k || kind == Panel::q5_k; }

inline Ints load_ints(const u8* p) {
  Ints v;
  memcpy(&v, p, sizeof v);
  return v;
}

// Codes of column 8v + c of a group, for the rows from `row` on.
template <Panel kind>
inline Ints codes_of(const u8* group, int v, int c, std::size_t row) {
  if constexpr (kind == Panel::q8_0)  // the byte to the top, and down again with its sign
    return (load_ints(group + 128 * v + 64 * (c / 4) + 4 * row) << (24 - 8 * (c % 4))) >> 24;
  const int j = c < 4 ? 2 * c : 2 * c - 7;
  Ints q = (load_ints(group + 64 * v + 4 * row) >> (4 * j)) & 15;
  if constexpr (kind == Panel::q5_0 || kind == Panel::q5_k)
    q |= ((load_ints(group + 256 + 4 * row) >> (8 * v + j)) & 1) << 4;
  if constexpr (kind == Panel::q6_k) {
    const int bit = 2 * (8 * (v % 2) + j);
    q |= ((load_ints(group + 256 + 64 * (v / 2) + 4 * row) >> bit) & 3) << 4;
  }
  if constexpr (kind == Panel::iq4_nl || kind == Panel::iq4_xs || kind == Panel::mxfp4 ||
                kind == Panel::grid)
    for (std::size_t i = 0; i < lanes; ++i)
      q[i] = kind == Panel::mxfp4  ? e2m1_table[q[i]]
             : kind == Panel::grid ? grid_table[q[i]]
                                   : iq4_table[q[i]];
  if constexpr (kind == Panel::q4_0) q -= 8;
  if constexpr (kind == Panel::q5_0) q -= 16;
  if constexpr (kind == Panel::q6_k) q -= 32;
  return q;
}

// 2^(c - 128), subnormal below c = 2.
inline float half_power(u8 c) {
  return c < 2 ? float_of_bits(0x00200000u << c) : float_of_bits(static_cast<u32>(c - 1) << 23);
}

struct Factors {
  float scale[panel_rows], minimum[panel_rows];
};

// Of step v of a group.
template <Panel kind>
inline void load_factors(Factors& factors, const u8* super, const u8* group, int v) {
  constexpr std::size_t size = shape_of(kind).group_bytes;
  const u8* tail = group + size - 32;
  for (std::size_t n = 0; n < panel_rows; ++n) {
    if constexpr (kind == Panel::mxfp4) {
      factors.scale[n] = half_power(group[256 + n]);
    } else if constexpr (!has_super(kind)) {
      factors.scale[n] = load_half(tail, n);
    } else if constexpr (has_minimum(kind)) {
      factors.scale[n] = load_half(super, n) * tail[n];
      factors.minimum[n] = load_half(super + 32, n) * tail[16 + n];
    } else {
      const u8* scales = has_two_scales(kind) ? tail + 16 * (v / 2) : group + 256;
      const float unit = kind == Panel::grid ? 0.125f : 1;
      factors.scale[n] = unit * load_half(super, n) * static_cast<i8>(scales[n]);
    }
  }
}

template <Panel kind>
void unpack_groups(float* out, const void* panel, std::size_t first, std::size_t k) {
  constexpr PanelShape shape = shape_of(kind);
  constexpr std::size_t groups = shape.unit_columns / group_columns;
  const u8* units = static_cast<const u8*>(panel) + first / shape.unit_columns * shape.unit_bytes;
  Factors factors = {};
  for (std::size_t i = 0; i < k / group_columns; ++i) {
    const u8* super = units + i / groups * shape.unit_bytes;
    const u8* group = super + shape.head_bytes + i % groups * shape.group_bytes;
    for (int v = 0; v < 4; ++v) {
      if (v == 0 || (has_two_scales(kind) && v == 2)) load_factors<kind>(factors, super, group, v);
      for (int c = 0; c < 8; ++c, out += panel_rows)
        for (std::size_t row = 0; row < panel_rows; row += lanes) {
          const Vec code = __builtin_convertvector(codes_of<kind>(group, v, c, row), Vec);
          const Vec weight = code * load(factors.scale + row);
          store(out + row, has_minimum(kind) ? weight - load(factors.minimum + row) : weight);
        }
    }
  }
}

void unpack_f16(float* out, const void* panel, std::size_t first, std::size_t k) {
  const u16* from = static_cast<const u16*>(panel) + panel_rows * first;
  for (std::size_t i = 0; i < panel_rows * k; i += lanes) store(out + i, load_halves(from + i));
}

void unpack_bf16(float* out, const void* panel, std::size_t first, std::size_t k) {
  const u8* pairs = static_cast<const u8*>(panel) + 2 * panel_rows * first;
  for (std::size_t i = 0; i < k; ++i)
    for (std::size_t row = 0; row < panel_rows; row += lanes) {
      const Ints pair = load_ints(pairs + 64 * (i / 2) + 4 * row);
      store(out + panel_rows * i + row, bits(i % 2 ? pair & -0x10000 : pair << 16));
    }
}

// Columns [first, first + k) of one panel.
void unpack(Panel kind, void* b, const void* panel, std::size_t first, std::size_t k) {
  float* out = static_cast<float*>(b);
  switch (kind) {
    case Panel::f32:
      memcpy(out, static_cast<const float*>(panel) + panel_rows * first, 4 * panel_rows * k);
      return;
    case Panel::f16:
      return unpack_f16(out, panel, first, k);
    case Panel::bf16:
      return unpack_bf16(out, panel, first, k);
    case Panel::q8_0:
      return unpack_groups<Panel::q8_0>(out, panel, first, k);
    case Panel::q4_0:
      return unpack_groups<Panel::q4_0>(out, panel, first, k);
    case Panel::iq4_nl:
      return unpack_groups<Panel::iq4_nl>(out, panel, first, k);
    case Panel::q5_0:
      return unpack_groups<Panel::q5_0>(out, panel, first, k);
    case Panel::q4_k:
      return unpack_groups<Panel::q4_k>(out, panel, first, k);
    case Panel::q5_k:
      return unpack_groups<Panel::q5_k>(out, panel, first, k);
    case Panel::q6_k:
      return unpack_groups<Panel::q6_k>(out, panel, first, k);
    case Panel::iq4_xs:
      return unpack_groups<Panel::iq4_xs>(out, panel, first, k);
    case Panel::mxfp4:
      return unpack_groups<Panel::mxfp4>(out, panel, first, k);
    case Panel::grid:
      return unpack_groups<Panel::grid>(out, panel, first, k);
  }
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
