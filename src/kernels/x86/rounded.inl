// Panels of groups times activations rounded to 16-bit whole numbers: sums within a group are whole
// numbers and exact, and groups are added in ascending order, so that all ways give the same bits.
// Included after codes.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// Activations of one row and group: x = scale * q.  Slot 8v + i holds column 8v + slot_order[i]:
// pairs of slots are the columns whose codes share a 32-bit lane.
struct RoundedGroup {
  std::int16_t q[group_columns];
  float scale;
  float sum;                            // of the rounded activations
  std::int32_t minus_sum, minus_first;  // of all q, of those of the first 16 columns; negated
};
static_assert(sizeof(RoundedGroup) == 80);

constexpr std::size_t rounded_rows = lanes == 16 ? 6 : 3;
constexpr std::size_t rounded_panels = lanes == 16 ? 2 : 1;

// Two columns of codes in each lane, for four pairs of slots.
struct Words {
  Bits w[4];
};

// Step v of a group as words, before offsets.
template <Panel kind>
inline Words words_of(const u8* group, std::size_t v, std::size_t half) {
  if constexpr (kind == Panel::q4_0 || kind == Panel::q4_k) {
    const Bits line = load_bits(group + 64 * v + 4 * lanes * half), mask = all_words(15);
    return {{both(line, mask), both(shift_right<4>(line), mask), both(shift_right<8>(line), mask),
             shift_right<12>(line)}};
  }
  const CodeBytes codes = codes_of<kind>(group, v, half);
  if constexpr (is_signed(kind))
    return {{shift_right_signed<8>(shift_left<8>(codes.low)),
             shift_right_signed<8>(shift_left<8>(codes.high)), shift_right_signed<8>(codes.low),
             shift_right_signed<8>(codes.high)}};
  const Bits mask = all_words(255);
  return {{both(codes.low, mask), both(codes.high, mask), shift_right<8>(codes.low),
           shift_right<8>(codes.high)}};
}

inline Bits load_pair(const RoundedGroup& x, std::size_t pair) {
  std::int32_t words;
  memcpy(&words, x.q + 2 * pair, 4);
  return all_ints(words);
}

// Adds a group's whole sums to the sums in floats.
template <bool minimum>
inline Vec add_group(Vec sum, Bits whole, const Scales& scales, const RoundedGroup& x) {
  sum = multiply_add(to_floats(whole), scales.scale * splat(x.scale), sum);
  return minimum ? multiply_add(scales.minus_minimum, splat(x.sum), sum) : sum;
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
