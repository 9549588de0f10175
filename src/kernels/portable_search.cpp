// The search table that runs everywhere.
#define HEARTH_ISA portable_search
#define HEARTH_LANES 4
#include "kernels/search.h"
#include "kernels/vectors.inl"
//
#include "kernels/search_floats.inl"
#include "kernels/search_plain.inl"

namespace hearth::kernels::portable_search {
namespace {
constexpr auto dots_u8 = plain_dots_u8;
constexpr auto dots_u8_at = plain_dots_u8_at;
constexpr auto hamming = plain_hamming;
constexpr auto dots_panels = plain_dots_panels;
constexpr auto nearest = plain_nearest;
constexpr auto scan_codes = plain_scan_codes;
constexpr auto at_most = plain_at_most;
constexpr auto sign_tables = plain_sign_tables;

float panel_keys(float* keys, const u8* row, float factor, const i8* panels, const float* terms,
                 const std::int32_t* offsets, std::size_t count, std::size_t dim) {
  return panel_keys_by(plain_dots_panels, keys, row, factor, panels, terms, offsets, count, dim);
}

}  // namespace
}  // namespace hearth::kernels::portable_search

#include "kernels/search_table.inl"

namespace hearth::kernels {
extern const SearchKernels portable_search_table;
constexpr SearchKernels portable_search_table = portable_search::make_search_table("portable");
}  // namespace hearth::kernels
