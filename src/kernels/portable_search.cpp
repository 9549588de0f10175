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
}  // namespace
}  // namespace hearth::kernels::portable_search

#include "kernels/search_table.inl"

namespace hearth::kernels {
extern const SearchKernels portable_search_table;
constexpr SearchKernels portable_search_table = portable_search::make_search_table("portable");
}  // namespace hearth::kernels
