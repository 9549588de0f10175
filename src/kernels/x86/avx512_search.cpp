// Search kernels for AVX-512 (F, BW, DQ, VL, VNNI).
#define HEARTH_ISA avx512_search
#define HEARTH_LANES 16
#include "kernels/search.h"
#include "kernels/vectors.inl"
//
#include "kernels/search_floats.inl"
#include "kernels/search_plain.inl"
#include "kernels/x86/search_avx512.inl"

namespace hearth::kernels::avx512_search {
namespace {

constexpr auto dots_panels = wide_dots_panels;

void nearest(LaneMinima* minima, const u8* rows, std::size_t stride, const float* factors,
             std::size_t m, const i8* panels, const float* terms, const std::int32_t* offsets,
             std::uint32_t column, std::size_t count, std::size_t dim) {
  nearest_by(wide_dots_panels, minima, rows, stride, factors, m, panels, terms, offsets, column,
             count, dim);
}

float panel_keys(float* keys, const u8* row, float factor, const i8* panels, const float* terms,
                 const std::int32_t* offsets, std::size_t count, std::size_t dim) {
  return panel_keys_by(wide_dots_panels, keys, row, factor, panels, terms, offsets, count, dim);
}

}  // namespace
}  // namespace hearth::kernels::avx512_search

#include "kernels/search_table.inl"

namespace hearth::kernels {
extern const SearchKernels avx512_search_table;
constexpr SearchKernels avx512_search_table = avx512_search::make_search_table("avx512");
}  // namespace hearth::kernels
