// Products of bytes summed in pairs in whole numbers of 16 bits: as many lines of four columns as
// cannot overflow are summed before they are widened.  Included after bytes.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t most_lines(std::size_t lines) { return lines; }

// b: panels [k / 32] of CodeGroup, one after another.
template <Form form, std::size_t fold, std::size_t rows, std::size_t panels>
void bytes_tile(float* c, std::size_t ldc, const ByteGroup* a, const CodeGroup* b,
                const Extent& extent) {
  const std::size_t groups = extent.groups, start = extent.start;
  const u8* ahead = extent.ahead;
  static_assert(panels == 1);
  constexpr std::size_t parts = has_two_scales(form) ? 2 : 1, lines = 8 / parts;
  const Bits ones = all_words(1);
  Vec sums[rows][halves];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (std::size_t h = 0; h < halves; ++h) sums[r][h] = load(c + r * ldc + h * lanes);
  for (std::size_t g = 0; g < groups; ++g, a += rows, ++b) {
    ask(ahead, extent.lines);
#pragma GCC unroll 2
    for (std::size_t part = 0; part < parts; ++part)
#pragma GCC unroll 4
      for (std::size_t r = 0; r < rows; ++r) {
        Bits whole[halves];
#pragma GCC unroll 2
        for (std::size_t h = 0; h < halves; ++h) whole[h] = all_ints(a[r].start[start + part]);
#pragma GCC unroll 4
        for (std::size_t first = 0; first < lines; first += fold) {
          Bits pairs[halves];
#pragma GCC unroll 8
          for (std::size_t i = 0; i < fold; ++i) {
            const std::size_t line = lines * part + first + i;
            const Bits x = four_columns(a[r], line);
#pragma GCC unroll 2
            for (std::size_t h = 0; h < halves; ++h) {
              const Bits w = load_bits(b->codes + 64 * line + 4 * lanes * h);
              const Bits products = _mm256_maddubs_epi16(w, x);
              pairs[h] = i == 0 ? products : _mm256_add_epi16(pairs[h], products);
            }
          }
#pragma GCC unroll 2
          for (std::size_t h = 0; h < halves; ++h)
            whole[h] = plus_ints(whole[h], _mm256_madd_epi16(pairs[h], ones));
        }
#pragma GCC unroll 2
        for (std::size_t h = 0; h < halves; ++h) {
          const std::size_t row = lanes * h;
          const Scales scales = {load((part ? b->second_scale : b->scale) + row),
                                 form == Form::minimum ? load(b->minus_minimum + row) : Vec{}};
          sums[r][h] = add_group < form == Form::minimum > (sums[r][h], whole[h], scales, a[r]);
        }
      }
  }
#pragma GCC unroll 4
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (std::size_t h = 0; h < halves; ++h) store(c + r * ldc + h * lanes, sums[r][h]);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
