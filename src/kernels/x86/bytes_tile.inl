// Products of bytes summed in whole numbers of 32 bits, as VNNI does.  Included after bytes.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t most_lines(std::size_t) { return 8; }

template <std::size_t rows, std::size_t vectors>
inline void start_sums(Bits (&whole)[rows][vectors], const ByteGroup* a, Form form,
                       std::size_t start) {
#pragma GCC unroll 6
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < vectors; ++v)
      whole[r][v] = form == Form::minimum            ? all_ints(0)
                    : form == Form::two_scales_twice ? all_ints(2 * a[r].start[start])
                                                     : all_ints(a[r].start[start]);
}

// b: panels [k / 32] of CodeGroup, one after another.
template <Form form, std::size_t, std::size_t rows, std::size_t panels>
void bytes_tile(float* c, std::size_t ldc, const ByteGroup* a, const CodeGroup* b,
                const Extent& extent) {
  const std::size_t groups = extent.groups, start = extent.start;
  const u8* ahead = extent.ahead;
  constexpr std::size_t vectors = panels * halves;
  constexpr std::size_t parts = has_two_scales(form) ? 2 : 1;
  Vec sums[rows][vectors];
#pragma GCC unroll 6
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < vectors; ++v) sums[r][v] = load(c + r * ldc + v * lanes);
  for (std::size_t g = 0; g < groups; ++g, a += rows, ++b) {
    ask(ahead, extent.lines);
#pragma GCC unroll 1
    for (std::size_t part = 0; part < parts; ++part) {
      Bits whole[rows][vectors];
      start_sums(whole, a, form, start + part);
      constexpr std::size_t lines = 8 / parts;
#pragma GCC unroll 4
      for (std::size_t i = 0; i < lines; ++i) {
        const std::size_t j = lines * part + i;
        Bits w[vectors];
#pragma GCC unroll 2
        for (std::size_t v = 0; v < vectors; ++v)
          w[v] = load_bits(b[v / halves * groups].codes + 64 * j + 4 * lanes * (v % halves));
#pragma GCC unroll 6
        for (std::size_t r = 0; r < rows; ++r) {
          const Bits x = four_columns(a[r], j);
#pragma GCC unroll 2
          for (std::size_t v = 0; v < vectors; ++v)
            whole[r][v] = add_byte_products(whole[r][v], w[v], x);
        }
      }
#pragma GCC unroll 2
      for (std::size_t v = 0; v < vectors; ++v) {
        const CodeGroup& group = b[v / halves * groups];
        const std::size_t row = lanes * (v % halves);
        const Scales scales = {load((part ? group.second_scale : group.scale) + row),
                               form == Form::minimum ? load(group.minus_minimum + row) : Vec{}};
#pragma GCC unroll 6
        for (std::size_t r = 0; r < rows; ++r)
          sums[r][v] = add_group < form == Form::minimum > (sums[r][v], whole[r][v], scales, a[r]);
      }
    }
  }
#pragma GCC unroll 6
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < vectors; ++v) store(c + r * ldc + v * lanes, sums[r][v]);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
