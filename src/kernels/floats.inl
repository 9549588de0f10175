// Columns of panels of floats.  Included after vectors.inl.  few_floats.inl and
// plain.inl take them in ascending order and multiply by fused multiply-add, as tile() does, so
// that all ways give the same bits.

namespace hearth::kernels::HEARTH_ISA {
namespace {

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
