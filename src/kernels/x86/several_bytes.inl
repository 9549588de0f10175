// Several rows, rounded to bytes, by panels of groups, for 16 lanes: codes are unpacked once for
// all rows, in registers.  Included after bytes.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

static_assert(lanes == 16);

// What more than eight rows are cut into: sums of whole numbers of two panels fill the registers.
constexpr std::size_t rows_in_registers = 8;

// Adds one group to the sums of `rows` rows, which lie in memory, panel after panel, `apart` rows
// each.
template <Panel kind, std::size_t rows, std::size_t panels>
inline void several_bytes_group(float* sums, std::size_t apart, const ByteGroup* x, const u8* panel,
                                const u8* group, std::size_t bytes) {
  Bits whole[panels][rows];
#pragma GCC unroll 1
  for (std::size_t v = 0; v < 4; ++v) {
    CodeBytes codes[panels];
#pragma GCC unroll 2
    for (std::size_t p = 0; p < panels; ++p)
      codes[p] = unsigned_codes_of<kind>(group + p * bytes, v, 0);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < rows; ++r) {
      if (v % steps_per_scale(kind) == 0)
#pragma GCC unroll 2
        for (std::size_t p = 0; p < panels; ++p) whole[p][r] = start_of<kind>(x[r], v);
      const Bits first = four_columns(x[r], 2 * v), second = four_columns(x[r], 2 * v + 1);
#pragma GCC unroll 2
      for (std::size_t p = 0; p < panels; ++p)
        whole[p][r] = add_byte_products(whole[p][r], codes[p].low, first);
#pragma GCC unroll 2
      for (std::size_t p = 0; p < panels; ++p)
        whole[p][r] = add_byte_products(whole[p][r], codes[p].high, second);
    }
    if ((v + 1) % steps_per_scale(kind) != 0) continue;
#pragma GCC unroll 2
    for (std::size_t p = 0; p < panels; ++p) {
      const Scales scales = scales_of<kind>(panel + p * bytes, group + p * bytes, v, 0);
#pragma GCC unroll 8
      for (std::size_t r = 0; r < rows; ++r) {
        float* sum = sums + (p * apart + r) * panel_rows;
        store(sum, add_group<has_minimum(kind)>(load(sum), whole[p][r], scales, x[r]));
      }
    }
  }
}

// m rows, at most `rows` of them: those behind are computed from whatever lies there and dropped.
// x: [k / 32][m].
template <Panel kind, std::size_t rows, std::size_t panels>
void several_bytes(float* y, std::size_t ldy, const ByteGroup* x, std::size_t m, const u8* panel,
                   std::size_t k) {
  constexpr PanelShape shape = shape_of(kind);
  constexpr std::size_t groups = shape.unit_columns / group_columns;
  constexpr std::size_t together = rows <= rows_in_registers ? rows : rows / 2;
  const std::size_t bytes = panel_bytes(kind, k);
  alignas(64) float memory[panels * rows * panel_rows] = {};
  float* sums = memory;
  const u8* end = panel + bytes;
  asm("" : "+r"(sums));  // or GCC 12 keeps some of them in registers
  for (std::size_t unit = 0; unit < k / shape.unit_columns; ++unit, panel += shape.unit_bytes)
    for (std::size_t g = 0; g < groups; ++g, x += m) {
      const u8* group = panel + shape.head_bytes + g * shape.group_bytes;
      ask_ahead<panels>(group, bytes, end, shape.group_bytes);
#pragma GCC unroll 1
      for (std::size_t r = 0; r < rows; r += together)
        several_bytes_group<kind, together, panels>(sums + r * panel_rows, rows, x + r, panel,
                                                    group, bytes);
    }
  for (std::size_t p = 0; p < panels; ++p)
    for (std::size_t r = 0; r < m; ++r)
      store(y + r * ldy + p * panel_rows, load(sums + (p * rows + r) * panel_rows));
}

template <Panel kind, std::size_t rows>
void several_bytes_rows(float* y, std::size_t ldy, const ByteGroup* x, std::size_t m,
                        const void* panels, std::size_t count, std::size_t k) {
  constexpr std::size_t together = 2;
  const std::size_t bytes = panel_bytes(kind, k);
  const u8* panel = static_cast<const u8*>(panels);
  std::size_t p = 0;
  for (; count - p >= together; p += together)
    several_bytes<kind, rows, together>(y + p * panel_rows, ldy, x, m, panel + p * bytes, k);
  if (p < count) several_bytes<kind, rows, 1>(y + p * panel_rows, ldy, x, m, panel + p * bytes, k);
}

// Of kinds with super-blocks, or of those without.  few_rows < m <= 16.
template <bool super>
void several_bytes_of(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                      const void* panels, std::size_t count, std::size_t k) {
  const ByteGroup* rows = static_cast<const ByteGroup*>(x);
  with_group_kind(kind, [&](auto constant) {
    constexpr Panel value = decltype(constant)::value;
    if constexpr (has_super(value) == super) {
      const auto way = m <= 6    ? several_bytes_rows<value, 6>
                       : m <= 8  ? several_bytes_rows<value, 8>
                       : m <= 12 ? several_bytes_rows<value, 12>
                                 : several_bytes_rows<value, 16>;
      way(y, ldy, rows, m, panels, count, k);
    }
  });
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
