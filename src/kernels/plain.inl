// Many rows by panels of floats.  Included after tiles.inl and floats.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

template <Panel kind>
void unpack_floats(void* b, const void* panel, std::size_t first, std::size_t k) {
  float* out = static_cast<float*>(b);
  for (std::size_t i = 0; i < k; ++i)
    for (std::size_t h = 0; h < panel_vectors; ++h)
      store(out + panel_rows * i + lanes * h,
            column_of<kind>(static_cast<const u8*>(panel), first + i, i % 2, h));
}

// Panels of groups are for `rounded`.
void unpack_floats_of(Panel kind, void* b, const void* panel, std::size_t first, std::size_t k) {
  if (kind == Panel::f32)
    memcpy(b, static_cast<const float*>(panel) + panel_rows * first, 4 * panel_rows * k);
  if (kind == Panel::f16) unpack_floats<Panel::f16>(b, panel, first, k);
  if (kind == Panel::bf16) unpack_floats<Panel::bf16>(b, panel, first, k);
}

constexpr Gemm plain = plain_gemm(unpack_floats_of);

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
