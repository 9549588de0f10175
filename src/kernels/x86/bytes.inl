// Panels of groups times activations rounded to bytes, one scale for each group of columns: sums
// within a group are whole numbers and exact, and groups are added in ascending order, so that all
// ways give the same bits.  Included after codes.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// What unsigned codes are more than the weights they stand for: 2^3, 2^4, 2^7; or 2^5, 2^6, of
// kinds whose halves of groups have a scale each.
enum class Offset { none, three, four, five, six, seven };

// Activations of one row and group, in the order of columns: x = scale * q.
struct ByteGroup {
  i8 q[group_columns];
  float scale;
  float sum;              // of the rounded activations
  std::int32_t start[6];  // what sums of codes start from: minus the offset times the sum of q.
};  // three, four, seven; first and second half; nothing
static_assert(sizeof(ByteGroup) == 64);

constexpr std::size_t byte_rows = lanes == 16 ? 6 : 4;
constexpr std::size_t byte_panels = lanes == 16 ? 2 : 1;

constexpr Offset offset_of(Panel kind) {
  switch (kind) {
    case Panel::q4_0:
      return Offset::three;
    case Panel::q5_0:
    case Panel::mxfp4:
      return Offset::four;
    case Panel::q8_0:
    case Panel::iq4_nl:
    case Panel::iq4_xs:
      return Offset::seven;
    case Panel::q6_k:
      return Offset::five;
    case Panel::grid:
      return Offset::six;
    default:
      return Offset::none;
  }
}

// Where `start` has what the sums of columns from 16 * half on begin with; of six, a half of it.
constexpr std::size_t start_index(Offset offset, std::size_t half) {
  return offset == Offset::three   ? 0
         : offset == Offset::four  ? 1
         : offset == Offset::seven ? 2
                                   : 3 + half;
}

inline Bits plus_bytes(Bits a, char b) {
#if HEARTH_LANES == 16
  return _mm512_add_epi8(a, all_bytes(b));
#else
  return _mm256_add_epi8(a, all_bytes(b));
#endif
}

// Step v of a group: codes from 0 up.
template <Panel kind>
inline CodeBytes unsigned_codes_of(const u8* group, std::size_t v, std::size_t half) {
  CodeBytes codes = codes_of<kind>(group, v, half);
  if constexpr (is_signed(kind)) {
    constexpr char offset = kind == Panel::mxfp4 ? 16 : kind == Panel::grid ? 64 : -128;
    codes.low = plus_bytes(codes.low, offset);
    codes.high = plus_bytes(codes.high, offset);
  }
  return codes;
}

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
// sums + the products of the four bytes of every lane; w: unsigned, x: signed.
inline Bits add_byte_products(Bits sums, Bits w, Bits x) {
  // Not the intrinsic: GCC 12 copies its accumulator back and forth.
#if HEARTH_LANES == 16
  asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(w), "v"(x));
#else
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(w), "x"(x));
#endif
  return sums;
}

// All lines of four columns of a group may be summed together.
constexpr std::size_t lines_together(Panel) { return 8; }
constexpr std::uint32_t byte_kinds = group_kinds;
#else
// Sums of 16 bits hold so many lines of four columns: codes up to 15, 31 and 63 times 127.
constexpr std::size_t lines_together(Panel kind) {
  return kind == Panel::q4_0 || kind == Panel::q4_k ? 8 : kind == Panel::q6_k ? 2 : 4;
}

// Codes of 8 bits leave no room for sums: nothing would be won over words.
constexpr std::uint32_t byte_kinds =
    group_kinds & ~(kind_bit(Panel::q8_0) | kind_bit(Panel::iq4_nl) | kind_bit(Panel::iq4_xs) |
                    kind_bit(Panel::grid));
#endif

inline Bits four_columns(const ByteGroup& x, std::size_t line) {
  std::int32_t bytes;
  memcpy(&bytes, x.q + 4 * line, 4);
  return all_ints(bytes);
}

// Weights of one panel and group: unsigned codes, line j has columns 4j to 4j + 3 of 16 rows; then
// factors [16] each.
struct CodeGroup {
  u8 codes[group_columns * panel_rows];
  float scale[panel_rows], minus_minimum[panel_rows];
  float second_scale[panel_rows];  // of the last 16 columns, where they have their own
};
static_assert(sizeof(CodeGroup) == 704);

// What a tile goes through, and the memory it asks for meanwhile: so many lines for each group.
struct Extent {
  std::size_t groups, start;  // start: place in ByteGroup::start
  const u8* ahead;
  std::size_t lines;
};

inline void ask(const u8*& ahead, std::size_t lines) {
  for (; lines > 0; --lines, ahead += 64) __builtin_prefetch(ahead, 0, 2);
}

// How a kind's groups begin and end: offset or minimum, one scale or two, and these with twice the
// offset.
enum class Form { scale, minimum, two_scales, two_scales_twice };
constexpr bool has_two_scales(Form form) {
  return form == Form::two_scales || form == Form::two_scales_twice;
}

// What the sums of a group begin with, step v being the next.
template <Panel kind>
inline Bits start_of(const ByteGroup& x, std::size_t v) {
  constexpr Offset offset = offset_of(kind);
  if constexpr (offset == Offset::none) return all_ints(0);
  if constexpr (has_two_scales(kind))
    return all_ints(x.start[start_index(offset, v / 2)] * (offset == Offset::six ? 2 : 1));
  return all_ints(x.start[start_index(offset, 0)]);
}

// Adds a group's whole sums to the sums in floats.
template <bool minimum>
inline Vec add_group(Vec sum, Bits whole, const Scales& scales, const ByteGroup& x) {
  sum = multiply_add(to_floats(whole), scales.scale * splat(x.scale), sum);
  return minimum ? multiply_add(scales.minus_minimum, splat(x.sum), sum) : sum;
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
